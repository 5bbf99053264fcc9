package registry

import (
	"bytes"
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
	method   string
	url      *url.URL
	status   int
	codes    []string // the error codes that it names, in upper case
	standard bool     // the codes are where the specification puts them
	text     string   // its own words; a stranger's, and whole
	said     string   // everything that it says, to look for words in
	page     bool     // an HTML page: no registry's word
	unread   bool     // the body is cut, or longer than is read: what it says is not known
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s %s: status %d", r.method, r.url.Host, r.status)
}

// says reports whether a refusal has one of some error codes.
func (r *refusal) says(codes ...string) bool {
	return slices.ContainsFunc(r.codes, func(code string) bool { return slices.Contains(codes, code) })
}

// saysOnly reports whether every code that a refusal has is one of some.
func (r *refusal) saysOnly(codes ...string) bool {
	return len(r.codes) > 0 && !slices.ContainsFunc(r.codes, func(code string) bool { return !slices.Contains(codes, code) })
}

// isAbsence reports whether an answer says that what was asked for does not
// exist. It is the one place that decides so. Some registries, and the proxies
// before them, hide behind a 404 what they do not allow, or that they do not
// work: only what says nothing else is believed, and nothing that was not read
// to its end. Further codes may be named that mean absence to the request.
func (r *refusal) isAbsence(further ...string) bool {
	switch {
	case r.status != http.StatusNotFound, r.page, r.unread:
		return false
	case len(r.codes) > 0:
		return r.saysOnly(append(further, absenceCodes()...)...)
	}
	return !speaksOf(r.said, permissionWords()) && !speaksOf(r.said, failureWords())
}

// isStandardAbsence reports whether an answer says in the words of the
// specification that something does not exist, as a registry does and hardly
// anybody else.
func (r *refusal) isStandardAbsence() bool { return r.standard && len(r.codes) > 0 && r.isAbsence() }

// isForbidden reports whether a refusal is about who asked.
func (r *refusal) isForbidden() bool {
	switch {
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return true
	case r.status < 400 || r.status > 499:
		return false
	}
	return r.says(permissionCodes()...) || r.status == http.StatusNotFound && !r.page && len(r.codes) == 0 && speaksOf(r.said, permissionWords())
}

// isThrottled reports whether a registry is asked too often.
func (r *refusal) isThrottled() bool {
	return r.status == http.StatusTooManyRequests || r.says("TOOMANYREQUESTS", "TOO_MANY_REQUESTS", "429")
}

// absenceCodes are the codes that a 404 says nothing but "absent" with.
func absenceCodes() []string {
	return []string{
		errcode.ErrorCodeNameUnknown, errcode.ErrorCodeManifestUnknown, errcode.ErrorCodeBlobUnknown,
		errcode.ErrorCodeBlobUploadUnknown, errcode.ErrorCodeManifestBlobUnknown, "TAG_UNKNOWN", "NOT_FOUND", "404",
	}
}

// permissionCodes are the codes that are about who asked.
func permissionCodes() []string {
	return []string{
		errcode.ErrorCodeUnauthorized, errcode.ErrorCodeDenied, "FORBIDDEN", "UNAUTHENTICATED",
		"ACCESS_DENIED", "PERMISSION_DENIED", "401", "403",
	}
}

// permissionWords and failureWords are what an answer without codes speaks with
// of permissions, and of a registry that does not work.
func permissionWords() []string {
	return []string{"denied", "forbidden", "authori", "authenticat", "permission", "permitted", "not allowed", "credential", "login", "log in", "sign in"}
}

func failureWords() []string {
	return []string{"unavailable", "internal error", "server error", "too many requests", "toomanyrequests", "rate limit", "timeout", "timed out"}
}

// speaksOf reports whether a text has one of some words. What holds a slash is
// a name or an address, and may be called anything.
func speaksOf(text string, words []string) bool {
	var plain []string
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if !strings.Contains(word, "/") {
			plain = append(plain, word)
		}
	}
	text = strings.Join(plain, " ")
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// refused reads an answer as a refusal. Registries need not give reasons; then
// the status is left.
func refused(response *http.Response) *refusal {
	r := &refusal{method: response.Request.Method, url: response.Request.URL, status: response.StatusCode}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	r.page = mediaType == "text/html" || mediaType == "application/xhtml+xml"
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody+1))
	r.unread = err != nil || len(body) > maxErrorBody
	body = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\ufeff")))
	r.page = r.page || bytes.HasPrefix(body, []byte("<"))
	var value any
	switch {
	case r.page, r.unread: // half of a text could be half of a secret
	case json.Unmarshal(body, &value) == nil:
		r.read(value)
	default:
		r.text, r.said = string(body), string(body)
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
	r.said = plainWords(value)
	object, ok := value.(map[string]any)
	if !ok {
		r.text = r.said
		return
	}
	var texts []string
	errs, isList := object["errors"].([]any)
	if !isList {
		errs = []any{object["errors"]}
	}
	for _, e := range errs {
		one, isObject := e.(map[string]any)
		texts = append(texts, r.readError(e))
		r.standard = r.standard || isList && isObject && one["code"] != nil
	}
	if inner, ok := object["error"].(map[string]any); ok {
		texts = append(texts, r.readError(inner))
		object["error"] = nil
	}
	r.code(object["code"])
	for _, key := range []string{"message", "error", "error_description", "details"} {
		texts = append(texts, plainWords(object[key]))
	}
	r.text = strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), "; ")
}

// readError takes the code and the words of one error: an object, or a text
// that may be no more than its code.
func (r *refusal) readError(value any) string {
	one, ok := value.(map[string]any)
	if !ok {
		if text, _ := value.(string); !strings.ContainsFunc(text, func(c rune) bool { return c != '_' && !('A' <= c && c <= 'Z') }) {
			r.code(value)
		}
		return plainWords(value)
	}
	r.code(one["code"])
	code, _ := one["code"].(string)
	words := []string{strings.ReplaceAll(strings.ToLower(code), "_", " "), plainWords(one["message"]), plainWords(one["detail"])}
	words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
	return strings.Join(slices.Compact(words), ": ")
}

// code adds an error code: a name, or the number of a status.
func (r *refusal) code(value any) {
	switch value.(type) {
	case string, float64:
		if code := strings.ToUpper(strings.TrimSpace(fmt.Sprint(value))); code != "" {
			r.codes = append(r.codes, code)
		}
	}
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
