#:sdk Microsoft.NET.Sdk.Web
// Writes down what was paid.
var paid = 0L;
var app = WebApplication.Create(args);
app.MapGet("/healthz", () => "ok");
app.MapGet("/", () => Interlocked.Read(ref paid));
app.MapPost("/{cents:long}", (long cents) => Interlocked.Add(ref paid, cents));
app.Run("http://0.0.0.0:8080");
