import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.PriorityQueue;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Event loops, as frameworks have them: the first one accepts and shares out; each has its own connections to the backend. */
public final class Nio {
    private static final int LOOPS = 2;

    public static void main(String[] arguments) throws Exception {
        Loop[] loops = new Loop[LOOPS];
        for (int i = 0; i < LOOPS; i++) {
            loops[i] = new Loop(loops);
        }
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress("127.0.0.1", Service.LISTEN), 2048).configureBlocking(false);
        server.register(loops[0].selector, SelectionKey.OP_ACCEPT);
        for (Loop loop : loops) {
            new Thread(loop).start();
        }
    }

    /** A connection: requests come in, or answers. */
    private abstract static class Peer {
        final Loop loop;
        final SocketChannel channel;
        final StringBuilder input = new StringBuilder();
        private final ByteBuffer buffer = ByteBuffer.allocate(8192);

        Peer(Loop loop, SocketChannel channel) throws IOException {
            this.loop = loop;
            this.channel = channel;
            channel.configureBlocking(false);
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
        }

        /** Something has come. */
        abstract void received() throws IOException;

        void connected() throws IOException {}

        void read() throws IOException {
            int n = channel.read(buffer.clear());
            if (n < 0) {
                ended();
                return;
            }
            input.append(StandardCharsets.ISO_8859_1.decode(buffer.flip()));
            received();
        }

        void ended() throws IOException {
            channel.close();
        }

        /** Messages are small: they fit into the socket's buffer. */
        void write(String text) throws IOException {
            ByteBuffer bytes = StandardCharsets.ISO_8859_1.encode(text);
            channel.write(bytes);
            if (bytes.hasRemaining()) {
                throw new IOException("the socket's buffer is full");
            }
        }

        /** The length of the message at the start of the input, with its head; 0: it is not whole. */
        int whole() {
            int head = input.indexOf("\r\n\r\n");
            if (head < 0) {
                return 0;
            }
            int at = input.indexOf("Content-Length: ");
            int body = at < 0 || at > head ? 0 : Integer.parseInt(input.substring(at + 16, input.indexOf("\r\n", at)));
            return input.length() < head + 4 + body ? 0 : head + 4 + body;
        }
    }

    /** A client's connection, which has one request at a time. */
    private static final class Client extends Peer {
        String id;
        private String[] answers;
        private int open;

        Client(Loop loop, SocketChannel channel) throws IOException {
            super(loop, channel);
        }

        @Override
        void received() throws IOException {
            int length = whole();
            if (length == 0) {
                return;
            }
            String path = input.substring(0, input.indexOf("\r\n")).split(" ")[1];
            input.delete(0, length);
            id = path.substring(path.lastIndexOf('/') + 1);
            answers = new String[Service.COUNT];
            open = Service.COUNT;
            if (Service.DELAYED) {
                loop.timers.add(new Timer(System.nanoTime() + 1_000_000 * Service.delay(id), this));
                return;
            }
            for (int k = 0; k < (Service.PARALLEL ? Service.COUNT : 1); k++) {
                loop.call(this, id, k);
            }
        }

        void answered(int k, String answer) throws IOException {
            answers[k] = answer;
            open--;
            if (open == 0) {
                String body = String.join(",", answers);
                write("HTTP/1.1 200 OK\r\nContent-Length: " + body.length() + "\r\n\r\n" + body);
            } else if (!Service.PARALLEL) {
                loop.call(this, id, k + 1);
            }
        }
    }

    /** A connection to the backend, which has one call at a time. */
    private static final class Backend extends Peer {
        private Client client;
        private int number;
        private String request;

        Backend(Loop loop, SocketChannel channel) throws IOException {
            super(loop, channel);
        }

        void call(Client client, String id, int k) throws IOException {
            this.client = client;
            number = k;
            request = "GET /c/" + id + "/" + k + " HTTP/1.1\r\nHost: backend\r\n" + (Service.POOLED ? "" : "Connection: close\r\n") + "\r\n";
            if (channel.isConnected()) {
                write(request);
            }
        }

        @Override
        void connected() throws IOException {
            write(request);
        }

        @Override
        void received() throws IOException {
            int length = whole();
            if (length == 0) {
                return;
            }
            String answer = input.substring(input.indexOf("\r\n\r\n") + 4, length);
            input.setLength(0);
            if (Service.POOLED) {
                loop.idle.push(this);
            } else {
                channel.close();
            }
            client.answered(number, answer);
        }

        @Override
        void ended() throws IOException {
            super.ended();
            loop.idle.remove(this);
        }
    }

    /** The first call of a client that is due at a time of System.nanoTime(). */
    private record Timer(long due, Client client) {}

    private static final class Loop implements Runnable {
        final Selector selector = Selector.open();
        final Deque<Backend> idle = new ArrayDeque<>();
        final Queue<Timer> timers = new PriorityQueue<>(Comparator.comparingLong(Timer::due));
        private final Queue<SocketChannel> accepted = new ConcurrentLinkedQueue<>();
        private final Loop[] loops;
        private int next;

        Loop(Loop[] loops) throws IOException {
            this.loops = loops;
        }

        void call(Client client, String id, int k) throws IOException {
            Backend backend = idle.poll();
            if (backend == null) {
                backend = new Backend(this, SocketChannel.open());
                backend.channel.connect(new InetSocketAddress("127.0.0.1", Service.BACKEND));
                backend.channel.register(selector, backend.channel.isConnected() ? SelectionKey.OP_READ : SelectionKey.OP_CONNECT, backend);
            }
            backend.call(client, id, k);
        }

        @Override
        public void run() {
            try {
                while (true) {
                    selector.select(timers.isEmpty() ? 0 : Math.max(1, (timers.peek().due() - System.nanoTime()) / 1_000_000));
                    while (!timers.isEmpty() && timers.peek().due() <= System.nanoTime()) {
                        Client client = timers.remove().client();
                        call(client, client.id, 0);
                    }
                    for (SocketChannel channel = accepted.poll(); channel != null; channel = accepted.poll()) {
                        Client client = new Client(this, channel);
                        channel.register(selector, SelectionKey.OP_READ, client);
                    }
                    for (SelectionKey key : selector.selectedKeys()) {
                        handle(key);
                    }
                    selector.selectedKeys().clear();
                }
            } catch (IOException failure) {
                failure.printStackTrace();
                System.exit(1);
            }
        }

        private void handle(SelectionKey key) throws IOException {
            if (!key.isValid()) {
                return;
            }
            if (key.isAcceptable()) {
                SocketChannel channel = ((ServerSocketChannel) key.channel()).accept();
                Loop loop = loops[next++ % loops.length];
                loop.accepted.add(channel);
                loop.selector.wakeup();
                return;
            }
            Peer peer = (Peer) key.attachment();
            if (key.isConnectable()) {
                peer.channel.finishConnect();
                key.interestOps(SelectionKey.OP_READ);
                peer.connected();
            } else {
                peer.read();
            }
        }
    }
}
