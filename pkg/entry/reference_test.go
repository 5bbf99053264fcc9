package entry

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestRepositoryOfAReference(t *testing.T) {
	const d = "@sha256:0123"
	for reference, want := range map[string]string{
		"registry.example.com/team/image:1.0":      "registry.example.com/team/image",
		"registry.example.com/team/image:1.0" + d:  "registry.example.com/team/image",
		"registry.example.com:5000/team/image":     "registry.example.com:5000/team/image",
		"registry.example.com:5000/team/image" + d: "registry.example.com:5000/team/image",
		"[::1]:5000/image:latest":                  "[::1]:5000/image",
		"oci:/srv/images/autosd:10":                "oci:/srv/images/autosd",
		"oci:/srv/images/autosd":                   "oci:/srv/images/autosd",
		"oci:build":                                "oci:build",
		"oci:build:latest":                         "oci:build",
		`oci:C:\images\autosd`:                     `oci:C:\images\autosd`,
	} {
		if got := Repository(reference); got != want {
			t.Errorf("%s: %s, want %s", reference, got, want)
		}
	}
}

func TestPinnedReference(t *testing.T) {
	d, other := digest.FromString("published"), digest.FromString("other")
	for reference, repository := range map[string]string{
		"registry.example.com/team/image":                           "registry.example.com/team/image",
		"registry.example.com/team/image:nightly":                   "registry.example.com/team/image",
		"registry.example.com/team/image@" + other.String():         "registry.example.com/team/image",
		"registry.example.com/team/image:nightly@" + other.String(): "registry.example.com/team/image",
		"registry.example.com:5000/team/image":                      "registry.example.com:5000/team/image",
		"registry.example.com:5000/team/image:1.0":                  "registry.example.com:5000/team/image",
		"localhost:5000/image:1.0@" + d.String():                    "localhost:5000/image",
		"[::1]/image":                                               "[::1]/image",
		"[::1]:5000/team/image":                                     "[::1]:5000/team/image",
		"[2001:db8::7]:5000/team/image:nightly@" + other.String():   "[2001:db8::7]:5000/team/image",
		"oci:/srv/images/autosd":                                    "oci:/srv/images/autosd",
		"oci:/srv/images/autosd:nightly":                            "oci:/srv/images/autosd",
		"oci:/srv/images:old/autosd":                                "oci:/srv/images:old/autosd",
		"oci:build:latest@" + other.String():                        "oci:build",
		"oci:build@" + other.String():                               "oci:build",
	} {
		if got, want := Pinned(reference, d), repository+"@"+d.String(); got != want {
			t.Errorf("Pinned(%q) = %q, want %q", reference, got, want)
		}
	}
}

// An image that was published is often signed afterwards, and then published
// again by the same pipeline.
