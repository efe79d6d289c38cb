import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * A web server and a web client of the JDK. Each writes down what it did: one JSON line a request, on standard output.
 *
 *   java Web.java server 127.0.0.1:8080
 *   java Web.java client 127.0.0.1:8080 4 [version] < plan
 *
 * The client sends the requests of the plan from 4 threads. Without a version it is HTTP_2: for lack of TLS it offers each
 * connection's first server an upgrade (RFC 7540 section 3.2), which the server here does not take.
 *
 * HttpClient does not say which of its connections it used: the client's account lacks its addresses.
 */
public class Web {
    public static void main(String[] args) throws Exception {
        int colon = args[1].lastIndexOf(':');
        String host = args[1].substring(0, colon);
        int port = Integer.parseInt(args[1].substring(colon + 1));
        if (args[0].equals("server")) {
            serve(new InetSocketAddress(host, port));
        } else {
            ask("http://" + args[1], Integer.parseInt(args[2]), args.length > 3 ? args[3] : "HTTP_2");
        }
    }

    static void serve(InetSocketAddress address) throws IOException {
        HttpServer server = HttpServer.create(address, 128);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", Web::answer);
        server.start();
    }

    static void answer(HttpExchange x) throws IOException {
        x.getRequestBody().readAllBytes();
        URI target = x.getRequestURI();
        int status = Integer.parseInt(asked(target, "status", "200"));
        byte[] body = new byte[Integer.parseInt(asked(target, "bytes", "6"))];
        Arrays.fill(body, (byte) 'x');
        String version = x.getProtocol().substring("HTTP/".length());
        report("server", x.getRequestMethod(), target.toString(), status, version,
                String.format(",\"local\":%s,\"peer\":%s", end(x.getLocalAddress()), end(x.getRemoteAddress())));
        if (status / 100 == 3) {
            x.getResponseHeaders().set("Location", "/elsewhere");
        }
        if (status == 204 || x.getRequestMethod().equals("HEAD")) {
            x.sendResponseHeaders(status, -1);
        } else {
            x.sendResponseHeaders(status, asked(target, "framing", "length").equals("chunked") ? 0 : body.length);
            try (OutputStream out = x.getResponseBody()) {
                out.write(body);
            }
        }
        x.close();
    }

    /** A value in the query of a target. */
    static String asked(URI target, String key, String otherwise) {
        for (String pair : target.getQuery() == null ? new String[0] : target.getQuery().split("&")) {
            if (pair.startsWith(key + "=")) {
                return pair.substring(key.length() + 1);
            }
        }
        return otherwise;
    }

    static String end(InetSocketAddress a) {
        return String.format("{\"address\":\"%s\",\"port\":%d}", a.getAddress().getHostAddress(), a.getPort());
    }

    static void report(String role, String method, String target, int status, String version, String more) {
        String line = String.format("{\"pid\":%d,\"role\":\"%s\",\"method\":\"%s\",\"target\":\"%s\",\"status\":%d,\"version\":\"%s\"%s}\n",
                ProcessHandle.current().pid(), role, method, target, status, version, more);
        synchronized (System.out) {
            System.out.print(line);
            System.out.flush();
        }
    }

    static void ask(String base, int threads, String version) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.valueOf(version)).build();
        LinkedBlockingQueue<String> plan = new LinkedBlockingQueue<>(100);
        Thread[] all = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            all[i] = new Thread(() -> converse(client, base, plan));
            all[i].start();
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            plan.put(line);
        }
        for (int i = 0; i < threads; i++) {
            plan.put("");
        }
        for (Thread thread : all) {
            thread.join();
        }
        System.exit(0); // not when the client's own threads have had enough
    }

    static void converse(HttpClient client, String base, LinkedBlockingQueue<String> plan) {
        try {
            for (String line = plan.take(); !line.isEmpty(); line = plan.take()) {
                exchange(client, base, line.split(" "));
            }
        } catch (Exception e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    /** Sends what a line of the plan says: method, target, size of the body, how that is framed, traceparent or "-". */
    static void exchange(HttpClient client, String base, String[] line) throws Exception {
        byte[] body = new byte[Integer.parseInt(line[2])];
        Arrays.fill(body, (byte) '0');
        HttpRequest.BodyPublisher publisher = BodyPublishers.noBody();
        if (body.length > 0 && line[3].equals("chunked")) {
            publisher = BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(body)); // of a length that it does not know
        } else if (body.length > 0) {
            publisher = BodyPublishers.ofByteArray(body);
        }
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + line[1]))
                .timeout(Duration.ofSeconds(60)).method(line[0], publisher);
        if (!line[4].equals("-")) {
            request.header("traceparent", line[4]);
        }
        var response = client.send(request.build(), BodyHandlers.ofByteArray());
        String version = response.version() == HttpClient.Version.HTTP_2 ? "2" : "1.1";
        report("client", line[0], line[1], response.statusCode(), version, "");
    }
}
