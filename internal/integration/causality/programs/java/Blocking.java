import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The JDK's server, with a pool of threads or with virtual ones, and calls by HttpURLConnection: java Blocking fixed|virtual. */
public final class Blocking {
    private static final int THREADS = 64;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("sun.net.httpserver.maxIdleConnections", "4096");
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("http.keepAlive", Boolean.toString(Service.POOLED));
        System.setProperty("http.maxConnections", "4096");
        ExecutorService requests = executor(arguments[0]);
        ExecutorService calls = executor(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Service.LISTEN), 2048);
        server.setExecutor(requests);
        server.createContext("/r/", exchange -> handle(exchange, calls));
        server.start();
    }

    /** Virtual threads are called by name, so that an older JDK compiles this. */
    private static ExecutorService executor(String kind) throws Exception {
        if (kind.equals("virtual")) {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        }
        return Executors.newFixedThreadPool(THREADS);
    }

    private static void handle(HttpExchange exchange, ExecutorService calls) {
        try (exchange) {
            byte[] body = Service.answers(exchange.getRequestURI().getPath(), Blocking::call, calls).getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }

    private static String call(String id, int k) throws Exception {
        URL url = new URL("http://127.0.0.1:" + Service.BACKEND + "/c/" + id + "/" + k);
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        if (Service.REQUEST_IDS) {
            connection.setRequestProperty("X-Request-ID", Service.requestId(id));
        }
        try (InputStream body = connection.getInputStream()) {
            return new String(body.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
