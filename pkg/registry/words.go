package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// maxErrorBody bounds what is read of a refusal, in bytes.
const maxErrorBody = 8 << 10

// refusal is an answer with another status than the one hoped for.
type refusal struct {
	method string
	url    *url.URL
	status int
	codes  []string // the error codes of the specification, as far as it names some
	text   string   // its own words; a stranger's, and whole
	page   bool     // an HTML page: no registry's word
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s %s: status %d", r.method, r.url.Host, r.status)
}

// says reports whether a refusal has one of some error codes.
func (r *refusal) says(codes ...string) bool {
	return slices.ContainsFunc(r.codes, func(code string) bool { return slices.Contains(codes, code) })
}

// isAbsence reports whether a 404 says in a registry's words that something does
// not exist. Some hide behind the status what they do not allow.
func (r *refusal) isAbsence() bool {
	return r.status == http.StatusNotFound && len(r.codes) > 0 && !r.isForbidden() && !r.says(codeTooMany, errcode.ErrorCodeUnsupported)
}

// isPlainAbsence reports whether a 404 says no more than that.
func (r *refusal) isPlainAbsence() bool {
	return r.text == "" && !r.page || r.says(errcode.ErrorCodeNameUnknown, errcode.ErrorCodeManifestUnknown, errcode.ErrorCodeBlobUnknown, "NOT_FOUND")
}

// isForbidden reports whether a refusal is about who asked.
func (r *refusal) isForbidden() bool {
	return r.status == http.StatusUnauthorized || r.status == http.StatusForbidden ||
		(r.status >= 400 && r.status < 500 && r.says(errcode.ErrorCodeUnauthorized, errcode.ErrorCodeDenied))
}

// codeTooMany is the code of a registry that is asked too often.
const codeTooMany = "TOOMANYREQUESTS"

// refused reads an answer as a refusal. Registries need not give reasons; then
// the status is left.
func refused(response *http.Response) *refusal {
	r := &refusal{method: response.Request.Method, url: response.Request.URL, status: response.StatusCode}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	r.page = mediaType == "text/html" || mediaType == "application/xhtml+xml"
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody+1))
	if err != nil || len(body) > maxErrorBody {
		return r // half of a text could be half of a secret
	}
	text := strings.TrimSpace(string(body))
	r.page = r.page || strings.HasPrefix(text, "<")
	var value any
	switch {
	case r.page:
	case json.Unmarshal(body, &value) == nil:
		r.read(value)
	default:
		r.text = text
	}
	return r
}

// tokenRefusal is the refusal of a token service, which oras-go reads.
func tokenRefusal(response *errcode.ErrorResponse) *refusal {
	r := &refusal{method: response.Method, url: response.URL, status: response.StatusCode}
	var errs []any
	for _, e := range response.Errors {
		errs = append(errs, map[string]any{"code": e.Code, "message": e.Message, "detail": e.Detail})
	}
	r.read(map[string]any{"errors": errs})
	return r
}

// read takes the words from a JSON body: those of the specification, or those
// that registries and the proxies before them use instead.
func (r *refusal) read(value any) {
	object, ok := value.(map[string]any)
	if !ok {
		return
	}
	var texts []string
	errs, ok := object["errors"].([]any)
	if !ok {
		errs = []any{object["errors"]}
	}
	for _, e := range errs {
		one, ok := e.(map[string]any)
		if !ok {
			texts = append(texts, plainWords(e))
			continue
		}
		code, _ := one["code"].(string)
		if code != "" {
			r.codes = append(r.codes, code)
		}
		words := []string{strings.ReplaceAll(strings.ToLower(code), "_", " "), plainWords(one["message"]), plainWords(one["detail"])}
		words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
		texts = append(texts, strings.Join(slices.Compact(words), ": "))
	}
	for _, key := range []string{"message", "error", "error_description", "details"} {
		texts = append(texts, plainWords(object[key]))
	}
	r.text = strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), "; ")
}

// plainWords says a JSON value without its syntax.
func plainWords(value any) string {
	var parts []string
	switch value := value.(type) {
	case nil:
	case string:
		return value
	case []any:
		for _, one := range value {
			parts = append(parts, plainWords(one))
		}
	case map[string]any:
		for key := range value {
			if words := plainWords(value[key]); words != "" {
				parts = append(parts, key+" "+words)
			}
		}
		slices.Sort(parts)
	default:
		return fmt.Sprint(value)
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}
