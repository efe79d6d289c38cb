import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/**
 * A server and a client with the JDK's blocking sockets, a thread for each connection.
 *
 *   java mode_Blocking.java server 127.0.0.1:8080 CONNECTIONS          serves so many connections
 *   java mode_Blocking.java client 127.0.0.1:8080 CONNECTIONS PREFIX   makes three requests on each, for /PREFIX/<connection>/<request>
 */
class Blocking {
    public static void main(String[] args) throws Exception {
        int colon = args[1].lastIndexOf(':');
        InetAddress host = InetAddress.getByName(args[1].substring(0, colon));
        int port = Integer.parseInt(args[1].substring(colon + 1));
        int connections = Integer.parseInt(args[2]);
        if (args[0].equals("server")) {
            serve(new ServerSocket(port, 64, host), connections);
        } else {
            for (int i = 0; i < connections; i++) {
                ask(host, port, "/" + args[3] + "/" + i);
            }
        }
    }

    static void serve(ServerSocket listener, int connections) throws Exception {
        Thread[] threads = new Thread[connections];
        for (int i = 0; i < connections; i++) {
            Socket socket = listener.accept();
            threads[i] = new Thread(() -> {
                try (socket) {
                    answer(socket);
                } catch (IOException e) {
                    throw new RuntimeException(e);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    static void answer(Socket socket) throws IOException {
        OutputStream out = socket.getOutputStream();
        BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
        for (String line; (line = in.readLine()) != null;) {
            if (line.isEmpty()) {
                out.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            }
        }
    }

    static void ask(InetAddress host, int port, String path) throws IOException {
        try (Socket socket = new Socket(host, port)) {
            OutputStream out = socket.getOutputStream();
            InputStream in = socket.getInputStream();
            for (int i = 0; i < 3; i++) {
                out.write(("GET " + path + "/" + i + " HTTP/1.1\r\nHost: java.test\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
                in.readNBytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".length());
            }
        }
    }
}
