import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Submit a file of settlement lists and print what became of each (上报示例): the JDK alone, Java 11 or later.
 *  Environment: FENZHI_URL, FENZHI_TOKEN. Usage: java Submit.java lists.ndjson */
public final class Submit {
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final String URL = System.getenv("FENZHI_URL");
    private static final String TOKEN = System.getenv("FENZHI_TOKEN");

    private static String send(String method, String path, BodyPublisher body, String type) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + path))
            .header("Authorization", "Bearer " + TOKEN).header("Content-Type", type).method(method, body).build();
        HttpResponse<String> answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new IllegalStateException(answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    private static String ask(String query, String variables) throws Exception {
        String body = "{\"query\":\"" + query + "\",\"variables\":" + variables + "}";
        String answer = send("POST", "/graphql", BodyPublishers.ofString(body), "application/json");
        if (answer.contains("\"errors\"") || Pattern.compile("\"userErrors\": *\\[ *\\{").matcher(answer).find()) {
            throw new IllegalStateException(answer);
        }
        return answer;
    }

    private static String field(String name, String answer) {
        Matcher found = Pattern.compile("\"" + name + "\": *\"([^\"]*)\"").matcher(answer);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] arguments) throws Exception {
        String key = UUID.randomUUID().toString();
        String batch = field("id", ask(
            "mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id } userErrors { code message } } }",
            "{\"i\":{\"idempotencyKey\":\"create-" + key + "\",\"purpose\":\"LISTS\",\"mode\":\"PARTIAL\"}}"));
        send("PUT", "/v1/batches/" + batch + "/parts/1", BodyPublishers.ofFile(Path.of(arguments[0])), "application/x-ndjson");
        ask("mutation($i: BatchSealInput!) { batchSeal(input: $i) { batch { id } userErrors { code message } } }",
            "{\"i\":{\"idempotencyKey\":\"seal-" + key + "\",\"batch\":\"" + batch + "\",\"parts\":1}}");
        String state = "SEALED";
        while (state.equals("SEALED")) {
            Thread.sleep(200);
            state = field("state", ask("query($id: ID!) { batch(id: $id) { state } }", "{\"id\":\"" + batch + "\"}"));
        }
        System.out.println(state);
        System.out.print(send("GET", "/v1/batches/" + batch + "/verdicts.ndjson", BodyPublishers.noBody(), "application/json"));
    }
}
