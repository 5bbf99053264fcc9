package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// The lines name digests, and carry what the command was told about the registry in
// the words of each tool, whatever is in them.
func TestFetchLines(t *testing.T) {
	index, arm, amd, disk := digest.FromString("index"), digest.FromString("arm"), digest.FromString("amd"), digest.FromString("disk")
	item := func(host string) *entry.Item {
		return &entry.Item{RegistryURL: host + "/os/a:nightly", Digest: index, Bootc: true,
			PlatformVariants: []entry.Platform{{Architecture: "arm64", OS: "linux", Variant: "v8", Digest: arm}, {Architecture: "amd64", OS: "linux", Digest: amd}},
			ArtifactRefs:     []entry.ArtifactRef{{URL: host + "/os/disk@" + disk.String(), Format: "raw"}, {URL: host + "/os/disk@" + disk.String(), Format: "raw"}}}
	}
	told := map[string]origin{"plain-http": {kind: "flag"}}
	byDefault := map[string]origin{"plain-http": {kind: "default"}}
	for name, tt := range map[string]struct {
		host         string
		settings     settings
		podman, oras string
	}{
		"nothing told":         {"r.example.com", settings{origins: byDefault}, "podman pull ", "oras pull "},
		"loopback":             {"127.0.0.1:5000", settings{origins: byDefault}, "podman pull --tls-verify=false ", "oras pull --plain-http "},
		"plain HTTP":           {"r.example.com", settings{origins: told, plainHTTP: true}, "podman pull --tls-verify=false ", "oras pull --plain-http "},
		"loopback with TLS":    {"localhost:5000", settings{origins: told}, "podman pull ", "oras pull "},
		"any certificate":      {"r.example.com", settings{origins: byDefault, insecure: true}, "podman pull --tls-verify=false ", "oras pull --insecure "},
		"a CA":                 {"r.example.com", settings{origins: byDefault, caFile: "/etc/pki/our ca/ca.crt"}, "podman pull --cert-dir '/etc/pki/our ca' ", "oras pull --ca-file '/etc/pki/our ca/ca.crt' "},
		"a CA in another file": {"r.example.com", settings{origins: byDefault, caFile: "it's.pem"}, `SSL_CERT_FILE='it'\''s.pem' podman pull `, `oras pull --ca-file 'it'\''s.pem' `},
		"a login": {"r.example.com", settings{origins: byDefault, authFile: "/run/$(id)/auth.json"},
			"podman pull --authfile '/run/$(id)/auth.json' ", "oras pull --registry-config '/run/$(id)/auth.json' "},
		"through a server": {"r.example.com", settings{origins: told, plainHTTP: true, insecure: true, caFile: "ca.crt", server: "http://s"}, "podman pull ", "oras pull "},
	} {
		image := tt.host + "/os/a@"
		want := []fetchLine{
			{"bootc", "switching a running system", "bootc switch " + image + index.String()},
			{"podman", "the image", tt.podman + image + index.String()},
			{"podman", "linux/arm64/v8", tt.podman + image + arm.String()},
			{"podman", "linux/amd64", tt.podman + image + amd.String()},
			{"oras", "the files", tt.oras + tt.host + "/os/disk@" + disk.String()},
			{"j", "flashing a board", "j storage flash oci://" + tt.host + "/os/disk@" + disk.String()},
		}
		if diff := cmp.Diff(want, tt.settings.fetchLines(item(tt.host))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, reference := range []string{"r.example.com/a;reboot", "--authfile=/etc/a", "-o/etc/a", "-x.example.com/a", "r.-x.example.com/a", "dir:/etc/a", "$(reboot)/a", "oci:/etc/a"} {
		hostile := &entry.Item{RegistryURL: "r.example.com/a:1", Digest: index, Bootc: true, ArtifactRefs: []entry.ArtifactRef{{URL: reference + "@" + disk.String(), Format: "raw"}}}
		if lines := new(settings).fetchLines(hostile); len(lines) != 2 {
			t.Errorf("a file at %s makes %v, want the lines of the image alone", reference, lines)
		}
		hostile.RegistryURL, hostile.ArtifactRefs = reference+":1", nil
		if lines := new(settings).fetchLines(hostile); lines != nil {
			t.Errorf("an image at %s makes %v, want no lines", reference, lines)
		}
	}
	if lines := new(settings).fetchLines(&entry.Item{RegistryURL: "oci:/srv/a:1", Digest: index}); lines != nil {
		t.Errorf("a layout makes %v, want no lines", lines)
	}
}
