package faultproxy

import (
	"net/http"
	"regexp"
	"strings"
)

var scope = regexp.MustCompile(`scope="[^"]*"`)

// adjust makes the registry's own answer that of another kind of registry.
func adjust(r *http.Request, a *answer, faults Faults) {
	_, kind, reference := split(r.URL.Path)
	if faults.ReferrersType != "" && kind == "referrers" && a.status == http.StatusOK {
		a.header.Set("Content-Type", faults.ReferrersType)
	}
	if r.Method == http.MethodHead && a.status == http.StatusOK {
		if faults.NoLength {
			a.header.Del("Content-Length")
			a.header.Set("Transfer-Encoding", "chunked")
		}
		if faults.ZeroLength {
			a.header.Set("Content-Length", "0")
		}
	}
	if faults.PutStatus != 0 && r.Method == http.MethodPut && kind == "manifests" && a.status == http.StatusCreated {
		a.status = faults.PutStatus
	}
	if faults.ForbidAbsent && kind == "manifests" && a.status == http.StatusNotFound && !strings.Contains(reference, ":") && r.Method != http.MethodPut {
		*a = *refusal(http.StatusForbidden, "", "Forbidden")
	}
	if a.status == http.StatusUnauthorized {
		challenge(a, faults)
	}
}

func challenge(a *answer, faults Faults) {
	own := a.header.Values("Www-Authenticate")
	if faults.Scope != "" {
		for i, text := range own {
			own[i] = scope.ReplaceAllString(text, `scope="`+faults.Scope+`"`)
		}
	}
	all := append(append([]string(nil), faults.Challenges...), own...)
	if faults.OneHeader {
		all = []string{strings.Join(all, ", ")}
	}
	if len(all) > 0 {
		a.header["Www-Authenticate"] = all
	}
}
