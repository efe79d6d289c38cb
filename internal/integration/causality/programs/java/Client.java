import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** The JDK's server with a pool of threads, and calls by HttpClient, whose futures answer the request. */
public final class Client {
    private static HttpClient client;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("sun.net.httpserver.maxIdleConnections", "4096");
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("jdk.httpclient.allowRestrictedHeaders", "connection");
        client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Service.LISTEN), 2048);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.createContext("/r/", Client::handle);
        server.start();
    }

    private static void handle(HttpExchange exchange) {
        String path = exchange.getRequestURI().getPath();
        String id = path.substring(path.lastIndexOf('/') + 1);
        calls(id).whenComplete((answer, failure) -> {
            try (exchange) {
                if (failure != null) {
                    throw new IOException(failure);
                }
                byte[] body = answer.getBytes(StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(200, body.length);
                exchange.getResponseBody().write(body);
            } catch (IOException broken) {
                broken.printStackTrace();
            }
        });
    }

    private static CompletableFuture<String> calls(String id) {
        if (Service.DELAYED) {
            Executor later = CompletableFuture.delayedExecutor(Service.delay(id), TimeUnit.MILLISECONDS);
            return CompletableFuture.supplyAsync(() -> id, later).thenCompose(same -> call(same, 0));
        }
        return Service.PARALLEL ? parallel(id) : sequential(id, 0, "");
    }

    private static CompletableFuture<String> parallel(String id) {
        List<CompletableFuture<String>> calls = new ArrayList<>();
        for (int k = 0; k < Service.COUNT; k++) {
            calls.add(call(id, k));
        }
        return CompletableFuture.allOf(calls.toArray(new CompletableFuture[0]))
            .thenApply(done -> String.join(",", calls.stream().map(CompletableFuture::join).toList()));
    }

    private static CompletableFuture<String> sequential(String id, int k, String before) {
        return call(id, k).thenCompose(answer -> {
            String all = k == 0 ? answer : before + "," + answer;
            return k + 1 == Service.COUNT ? CompletableFuture.completedFuture(all) : sequential(id, k + 1, all);
        });
    }

    private static CompletableFuture<String> call(String id, int k) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + Service.BACKEND + "/c/" + id + "/" + k));
        if (!Service.POOLED) {
            request.header("Connection", "close");
        }
        if (Service.REQUEST_IDS) {
            request.header("X-Request-ID", Service.requestId(id));
        }
        return client.sendAsync(request.build(), BodyHandlers.ofString()).thenApply(response -> response.body());
    }
}
