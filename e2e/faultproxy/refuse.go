package faultproxy

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refuse makes the answers of registries that do not take everything; nil
// where nothing is refused.
func (p *Proxy) refuse(r *http.Request, body []byte, faults Faults) *answer {
	repository, kind, _ := split(r.URL.Path)
	switch {
	case faults.NoDelete && r.Method == http.MethodDelete:
		return refusal(http.StatusMethodNotAllowed, "UNSUPPORTED", "deletion is not supported")
	case faults.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return refusal(http.StatusMethodNotAllowed, "UNSUPPORTED", "the registry is read-only")
	case faults.Strangers404 && r.Header.Get("Authorization") == "" && r.URL.Path != "/v2/":
		return refusal(http.StatusNotFound, "NAME_UNKNOWN", "no such repository")
	case faults.NoReferrers && kind == "referrers":
		return &answer{http.StatusNotFound, http.Header{"Content-Type": {"text/plain"}}, []byte("404 page not found\n")}
	case kind != "manifests" || r.Method != http.MethodPut:
		return nil
	}
	var manifest struct {
		Annotations map[string]string `json:"annotations"`
		Subject     *struct {
			Digest string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(body, &manifest) != nil {
		return nil
	}
	for key, value := range manifest.Annotations {
		if faults.MaxAnnotation > 0 && len(value) > faults.MaxAnnotation {
			return refusal(http.StatusBadRequest, "MANIFEST_INVALID", fmt.Sprintf("annotation %s is too long", key))
		}
	}
	if faults.StrictSubject && manifest.Subject != nil {
		header := http.Header{"Accept": {"*/*", "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"}}
		a, err := p.forward(http.MethodHead, "/v2/"+repository+"/manifests/"+manifest.Subject.Digest, r.Host, header, nil)
		if err != nil || a.status != http.StatusOK {
			return refusal(http.StatusBadRequest, "MANIFEST_INVALID", "the subject is unknown")
		}
	}
	return nil
}
