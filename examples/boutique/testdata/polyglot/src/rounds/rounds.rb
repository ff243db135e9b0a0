# Plans who goes where.
require "socket"

def round(street)
  "round #{street.sum % 7 + 1}"
end

if $PROGRAM_NAME == __FILE__
  server = TCPServer.new(8080)
  loop do
    client = server.accept
    path = client.gets.to_s.split[1].to_s
    body = path == "/healthz" ? "ok" : round(path)
    client.write "HTTP/1.0 200 OK\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}"
    client.close
  end
end
