// Submit a file of settlement lists and print what became of each (上报示例): .NET 8 or later, no packages.
// Environment: FENZHI_URL, FENZHI_TOKEN. Usage: dotnet run -- lists.ndjson (in a console project that holds this file)
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

var client = new HttpClient { BaseAddress = new Uri(Environment.GetEnvironmentVariable("FENZHI_URL")!) };
client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("FENZHI_TOKEN"));

async Task<JsonElement> Ask(string query, object variables)
{
    var answer = await client.PostAsJsonAsync("/graphql", new { query, variables });
    var found = (await answer.Content.ReadFromJsonAsync<JsonElement>());
    if (found.TryGetProperty("errors", out var errors)) throw new InvalidOperationException(errors.ToString());
    var data = found.GetProperty("data").EnumerateObject().First().Value;
    if (data.TryGetProperty("userErrors", out var faults) && faults.GetArrayLength() > 0) throw new InvalidOperationException(faults.ToString());
    return data;
}

var key = Guid.NewGuid().ToString();
var created = await Ask("mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id uploadPath } userErrors { code message } } }",
    new { i = new { idempotencyKey = "create-" + key, purpose = "LISTS", mode = "PARTIAL" } });
var batch = created.GetProperty("batch").GetProperty("id").GetString();
var content = new ByteArrayContent(await File.ReadAllBytesAsync(args[0]));
content.Headers.ContentType = new MediaTypeHeaderValue("application/x-ndjson");
(await client.PutAsync(created.GetProperty("batch").GetProperty("uploadPath").GetString() + "1", content)).EnsureSuccessStatusCode();
await Ask("mutation($i: BatchSealInput!) { batchSeal(input: $i) { batch { id } userErrors { code message } } }",
    new { i = new { idempotencyKey = "seal-" + key, batch, parts = 1 } });
var state = "SEALED";
while (state == "SEALED")
{
    await Task.Delay(200);
    state = (await Ask("query($id: ID!) { batch(id: $id) { state } }", new { id = batch })).GetProperty("state").GetString();
}
Console.WriteLine(state);
Console.Write(await client.GetStringAsync($"/v1/batches/{batch}/verdicts.ndjson"));
