package apitest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const (
	entryText = `{"name":"a","registryUrl":"r/a:1","digest":"sha256:` + sum + `","phase":"Available","bootc":false,"lastVerified":"` + at + `","publishedAt":"` + at +
		`","createdAt":"` + at + `","sourceType":"Manual","downloadUrl":"r/a:1","isMultiArch":false,"accessCount":0,"revision":"sha256:` + sum + `"}`
	sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	at  = "2026-03-01T12:00:00.000Z"
)

func exchange(t *testing.T, method, target, body string, status int, mediaType, answer string) Exchange {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Etag": {`"x"`}}
	if mediaType != "" {
		header.Set("Content-Type", mediaType)
	}
	return Exchange{Method: method, URL: u, Body: []byte(body), Status: status, Header: header, Answer: []byte(answer)}
}

func TestCheck(t *testing.T) {
	const json = "application/json"
	list := `{"items":[` + entryText + `],"total":1}`
	for name, tt := range map[string]struct {
		exchange Exchange
		want     string // in the error; "" for none
	}{
		"a list":              {exchange(t, "GET", "/v1/catalog/images?limit=5&latest=false&tags=a,b&tags=c&label=a=b", "", 200, json, list), ""},
		"HEAD":                {exchange(t, "HEAD", "/v1/catalog/images/a", "", 200, json, ""), ""},
		"an error":            {exchange(t, "GET", "/v1/catalog/images?color=red", "", 400, json, `{"error":"no","code":"invalid"}`), ""},
		"no such path":        {exchange(t, "GET", "/v1/nothing", "", 404, json, `{"error":"no","code":"not_found"}`), ""},
		"a path that answers": {exchange(t, "GET", "/v1/nothing", "", 200, json, `{}`), "operation is not described"},
		"another method":      {exchange(t, "PUT", "/v1/catalog/images", "", 200, json, list), "operation is not described"},
		"another parameter":   {exchange(t, "GET", "/v1/catalog/images?color=red", "", 200, json, list), "parameter color is taken"},
		"a parameter's value": {exchange(t, "GET", "/v1/catalog/images?limit=0", "", 200, json, list), "parameter limit"},
		"another kind":        {exchange(t, "GET", "/v1/catalog/images?latest=yes", "", 200, json, list), "parameter latest"},
		"one given twice":     {exchange(t, "GET", "/v1/catalog/images?sort=name&sort=size", "", 200, json, list), "parameter sort"},
		"another status":      {exchange(t, "GET", "/v1/catalog/images", "", 418, json, list), "status is not described"},
		"another member":      {exchange(t, "GET", "/v1/catalog/images/a", "", 200, json, strings.Replace(entryText, "{", `{"x":1,`, 1)), "unevaluatedProperties"},
		"a member less":       {exchange(t, "GET", "/v1/catalog/images/a", "", 200, json, strings.Replace(entryText, `"bootc":false,`, "", 1)), "bootc"},
		"no JSON":             {exchange(t, "GET", "/v1/catalog/images", "", 200, json, `{`), "EOF"},
		"another media type":  {exchange(t, "GET", "/v1/catalog/images", "", 200, "text/html", `<p>`), "media type"},
		"part of the path":    {exchange(t, "GET", "/v1/catalog/images/NO_NAME%20", "", 200, json, entryText), "parameter name"},
		"a body":              {exchange(t, "DELETE", "/v1/catalog/images/a", "", 204, "", "x"), "a body where none is described"},
		"a request": {exchange(t, "POST", "/v1/catalog/images", `{"name":"a"}`, 201, json, strings.Replace(entryText, "{", `{"outcome":"published","snapshot":false,"attachment":{"outcome":"none"},`, 1)),
			"registryUrl"},
	} {
		err := Check(tt.exchange)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for encoding, pack := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { packer, _ := zstd.NewWriter(w); return packer },
	} {
		for text, want := range map[string]string{list: "", `{"items":[]}`: "total", "": "EOF"} {
			var packed bytes.Buffer
			w := pack(&packed)
			_, _ = w.Write([]byte(text))
			w.Close()
			e := exchange(t, "GET", "/v1/catalog/images", "", 200, json, packed.String())
			e.Header.Set("Content-Encoding", encoding)
			if err := Check(e); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", encoding, text, err, want)
			}
		}
	}
	without := exchange(t, "GET", "/v1/catalog/images", "", 200, json, list)
	without.Header.Del("Etag")
	if err := Check(without); err == nil || !strings.Contains(err.Error(), "no header ETag") {
		t.Errorf("without an ETag: %v", err)
	}
}

func TestProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"` + strings.TrimPrefix(r.URL.RawQuery, "x=") + `"}`))
	}))
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var reported []error
	proxy := httptest.NewServer(Proxy(target, func(err error) { reported = append(reported, err) }))
	defer proxy.Close()
	for _, path := range []string{"/healthz", "/healthz?x=ok"} {
		response, err := http.Get(proxy.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if len(reported) != 2 || !strings.Contains(reported[0].Error(), "/status") || !strings.Contains(reported[1].Error(), "parameter x") {
		t.Errorf("reported: %v", reported)
	}
}
