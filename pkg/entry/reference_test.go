package entry

import "testing"

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
	} {
		if got := Repository(reference); got != want {
			t.Errorf("%s: %s, want %s", reference, got, want)
		}
	}
}

// An image that was published is often signed afterwards, and then published
// again by the same pipeline.
