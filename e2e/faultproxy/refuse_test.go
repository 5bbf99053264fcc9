package faultproxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestNoDelete(t *testing.T) {
	b := newBench(t, Faults{NoDelete: true})
	path := "/v2/r/manifests/" + digest(b.tagged("a"))
	b.want(http.StatusMethodNotAllowed, b.do(http.MethodDelete, path, "", ""))
	b.want(http.StatusOK, b.get(path))
	b.proxy.Set(Faults{})
	b.want(http.StatusAccepted, b.do(http.MethodDelete, path, "", ""))
}

func TestNoReferrers(t *testing.T) {
	b := newBench(t, Faults{NoReferrers: true})
	path := "/v2/r/referrers/" + digest(b.tagged("a"))
	b.want(http.StatusNotFound, b.get(path))
	b.proxy.Set(Faults{})
	b.want(http.StatusOK, b.get(path))
}

func TestStrictSubject(t *testing.T) {
	b := newBench(t, Faults{StrictSubject: true})
	known := b.tagged("a")
	subject := func(sum string) string {
		return b.manifest(fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":%d}`, manifestType, sum, len(known)))
	}
	unknown := digest("nothing")
	if r := b.want(http.StatusBadRequest, b.put("b", subject(unknown))); !strings.Contains(r.body, "MANIFEST_INVALID") {
		t.Errorf("refused with %s", r.body)
	}
	b.want(http.StatusCreated, b.put("b", subject(digest(known))))
	b.proxy.Set(Faults{})
	b.want(http.StatusCreated, b.put("c", subject(unknown)))
}

func TestMaxAnnotation(t *testing.T) {
	b := newBench(t, Faults{MaxAnnotation: 256})
	annotated := func(length int) string {
		return b.manifest(fmt.Sprintf(`,"annotations":{"key":%q}`, strings.Repeat("x", length)))
	}
	b.want(http.StatusCreated, b.put("a", annotated(256)))
	b.want(http.StatusBadRequest, b.put("b", annotated(257)))
	b.want(http.StatusNotFound, b.get("/v2/r/manifests/b"))
	b.proxy.Set(Faults{})
	b.want(http.StatusCreated, b.put("b", annotated(257)))
}
