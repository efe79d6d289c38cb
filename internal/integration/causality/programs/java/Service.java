import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

/** What the services in Java have in common. */
final class Service {
    static final int LISTEN = Integer.parseInt(System.getenv("LISTEN"));
    static final int BACKEND = Integer.parseInt(System.getenv("BACKEND"));
    static final boolean POOLED = System.getenv("STYLE").equals("pooled");
    static final boolean PARALLEL = System.getenv("CALLS").equals("parallel");
    static final boolean DELAYED = System.getenv("CALLS").equals("delayed");
    static final int COUNT = DELAYED || System.getenv("CALLS").equals("one") ? 1 : 3;

    /** The id of the request that is passed on, if there are ids. */
    static final boolean REQUEST_IDS = System.getenv("REQUEST_IDS") != null;

    static String requestId(String id) {
        return "causality-" + id;
    }

    /** How many milliseconds to wait before the call. */
    static long delay(String id) {
        return DELAYED ? 1 + Integer.parseInt(id) % 5 : 0;
    }

    /** A call of the backend that waits for its answer. */
    interface Call {
        String answer(String id, int k) throws Exception;
    }

    /** The answers in their order; parallel calls are made by the executor. */
    static String answers(String path, Call call, ExecutorService executor) throws Exception {
        String id = path.substring(path.lastIndexOf('/') + 1);
        Thread.sleep(delay(id));
        List<String> answers = new ArrayList<>();
        if (PARALLEL) {
            List<Future<String>> futures = new ArrayList<>();
            for (int k = 0; k < COUNT; k++) {
                int number = k;
                futures.add(executor.submit(() -> call.answer(id, number)));
            }
            for (Future<String> future : futures) {
                answers.add(future.get());
            }
        } else {
            for (int k = 0; k < COUNT; k++) {
                answers.add(call.answer(id, k));
            }
        }
        return String.join(",", answers);
    }

    private Service() {}
}
