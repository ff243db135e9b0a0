import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** Says whether a country takes a form. */
public final class Customs {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/", exchange -> {
            byte[] body = answer(exchange.getRequestURI().getPath()).getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    static String answer(String path) {
        return path.equals("/healthz") ? "ok" : path.endsWith("/DE") ? "none" : "CN22";
    }
}
