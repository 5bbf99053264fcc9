package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/schema"
)

// api is schema/openapi.yaml, and a compiler of the schemas in it.
var api = sync.OnceValues(func() (map[string]any, *jsonschema.Compiler) {
	text, err := schema.Files.ReadFile(schema.OpenAPI)
	if err != nil {
		panic(err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		panic(err)
	}
	text, err = json.Marshal(document)
	if err != nil {
		panic(err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("openapi.json", plain); err != nil {
		panic(err)
	}
	return document, compiler
})

var compiling sync.Mutex

// described holds a request and its answer against the description.
func described(t testing.TB, method, path, body string, a answer) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	document, _ := api()
	template, operation := find(document, method, path)
	if operation == nil {
		if a.status < 400 {
			t.Errorf("%s %s is answered %d and not described", method, path, a.status)
		}
		return
	}
	pointer := "/paths/" + strings.ReplaceAll(template, "/", "~1") + "/" + strings.ToLower(strings.Replace(method, "HEAD", "GET", 1))
	if body != "" && a.status < 300 && operation["requestBody"] != nil {
		matches(t, "request of "+method+" "+path, pointer+"/requestBody/content/application~1json/schema", []byte(body))
	}
	responses := operation["responses"].(map[string]any)
	response, ok := responses[strconv.Itoa(a.status)].(map[string]any)
	if !ok {
		t.Errorf("%s %s: status %d is not described", method, path, a.status)
		return
	}
	at := pointer + "/responses/" + strconv.Itoa(a.status)
	if ref, ok := response["$ref"].(string); ok {
		at = strings.TrimPrefix(ref, "#")
		response = document["components"].(map[string]any)["responses"].(map[string]any)["Error"].(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	mediaType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if len(content) == 0 {
		if len(a.body) > 0 {
			t.Errorf("%s %s: a body where none is described: %s", method, path, a.body)
		}
		return
	}
	if content[mediaType] == nil {
		t.Errorf("%s %s: media type %q is not described", method, path, mediaType)
	}
	if mediaType == "application/json" && method != http.MethodHead && a.header.Get("Content-Encoding") == "" {
		matches(t, "answer of "+method+" "+path, at+"/content/application~1json/schema", a.body)
	}
}

// find returns the operation for a path.
func find(document map[string]any, method, path string) (template string, operation map[string]any) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for template, item := range document["paths"].(map[string]any) {
		want, got := strings.Split(template, "/"), strings.Split(path, "/")
		same := len(want) == len(got)
		for i := 0; same && i < len(want); i++ {
			same = want[i] == got[i] || (strings.HasPrefix(want[i], "{") && got[i] != "")
		}
		if operation, ok := item.(map[string]any)[strings.ToLower(method)].(map[string]any); same && ok {
			return template, operation
		}
	}
	return "", nil
}

func matches(t testing.TB, what, pointer string, text []byte) {
	t.Helper()
	_, compiler := api()
	compiling.Lock()
	compiled, err := compiler.Compile("openapi.json#" + pointer)
	compiling.Unlock()
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: %v\n%.500s", what, err, text)
	}
}
