// Submit a file of settlement lists and print what became of each (上报示例): .NET Framework 4.7, Mono 6 or .NET 8 and later, no packages.
// Environment: FENZHI_URL, FENZHI_TOKEN.
// Debian: mono-mcs libmono-system-net-http4.0-cil libmono-system-runtime-serialization4.0-cil libmono-system-xml-linq4.0-cil
// Mono: mcs -r:System.Net.Http -r:System.Runtime.Serialization -r:System.Xml -r:System.Xml.Linq Submit.cs && mono Submit.exe lists.ndjson
// .NET: dotnet run -- lists.ndjson (in a console project that holds this file)
using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading.Tasks;
using System.Xml;
using System.Xml.Linq;

public static class Submit
{
    static readonly HttpClient Client = new HttpClient { BaseAddress = new Uri(Environment.GetEnvironmentVariable("FENZHI_URL")) };

    public static int Main(string[] args)
    {
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("FENZHI_TOKEN"));
        Client.DefaultRequestHeaders.ExpectContinue = false;
        Send(args[0]).GetAwaiter().GetResult();
        return 0;
    }

    static async Task Send(string file)
    {
        var key = Guid.NewGuid().ToString();
        var created = await Ask(
            "mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id uploadPath } userErrors { code message } } }",
            "{\"i\": {\"idempotencyKey\": \"create-" + key + "\", \"purpose\": \"LISTS\", \"mode\": \"PARTIAL\"}}");
        var batch = created.Element("batch").Element("id").Value;
        var content = new ByteArrayContent(File.ReadAllBytes(file));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/x-ndjson");
        var kept = await Client.PutAsync(created.Element("batch").Element("uploadPath").Value + "1", content);
        if (!kept.IsSuccessStatusCode) throw new InvalidOperationException(await kept.Content.ReadAsStringAsync());
        await Ask(
            "mutation($i: BatchSealInput!) { batchSeal(input: $i) { batch { id } userErrors { code message } } }",
            "{\"i\": {\"idempotencyKey\": \"seal-" + key + "\", \"batch\": " + Quoted(batch) + ", \"parts\": 1}}");
        var state = "SEALED";
        while (state == "SEALED")
        {
            await Task.Delay(200);
            state = (await Ask("query($id: ID!) { batch(id: $id) { state } }", "{\"id\": " + Quoted(batch) + "}")).Element("state").Value;
        }
        Console.OutputEncoding = new UTF8Encoding(false);
        Console.WriteLine(state);
        Console.Write(Encoding.UTF8.GetString(await Client.GetByteArrayAsync("/v1/batches/" + batch + "/verdicts.ndjson")));
    }

    // The one field of `data`; an error of the request or of its input is thrown.
    static async Task<XElement> Ask(string query, string variables)
    {
        var body = "{\"query\": " + Quoted(query) + ", \"variables\": " + variables + "}";
        var answer = await Client.PostAsync("/graphql", new StringContent(body, Encoding.UTF8, "application/json"));
        var text = await answer.Content.ReadAsByteArrayAsync();
        var found = XElement.Load(JsonReaderWriterFactory.CreateJsonReader(text, XmlDictionaryReaderQuotas.Max));
        var data = found.Element("data") == null ? null : found.Element("data").Elements().FirstOrDefault();
        if (found.Element("errors") != null || found.Element("error") != null || data == null) throw new InvalidOperationException(Encoding.UTF8.GetString(text));
        if (data.Element("userErrors") != null && data.Element("userErrors").HasElements) throw new InvalidOperationException(data.Element("userErrors").Value);
        return data;
    }

    // A JSON string: what is given here has no control characters.
    static string Quoted(string given)
    {
        return "\"" + given.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"";
    }
}
