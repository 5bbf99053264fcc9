package normal

import "testing"

// D21: spellings of one registry have one form, and different registries none
// in common.
func TestHost(t *testing.T) {
	for _, tt := range []struct {
		want      string
		spellings []string
	}{
		{"docker.io", []string{"docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "docker.io:443", "INDEX.docker.io.", "registry.hub.docker.com"}},
		{"registry.example.com", []string{"registry.example.com", "Registry.Example.com", "registry.example.com:443", "registry.example.com.", "registry.example.com:0443"}},
		{"registry.example.com:80", []string{"registry.example.com:80"}},
		{"registry.example.com:5000", []string{"registry.EXAMPLE.com:5000", "registry.example.com.:5000"}},
		{"localhost", []string{"LOCALHOST", "localhost:80"}},
		{"localhost:443", []string{"localhost:443"}},
		{"localhost:5000", []string{"LOCALHOST:5000", "localhost:5000"}},
		{"127.0.0.1:5000", []string{"127.0.0.1:5000"}},
		{"[::1]:5000", []string{"[::1]:5000", "[0:0:0:0:0:0:0:1]:5000"}},
		{"[::1]", []string{"[::1]", "[::1]:80", "[0::1]"}},
		{"docker.io:5000", []string{"docker.io:5000"}},
		{"notdocker.io", []string{"notdocker.io"}},
	} {
		for _, spelling := range tt.spellings {
			if got := Host(spelling); got != tt.want {
				t.Errorf("%s: %s, want %s", spelling, got, tt.want)
			}
			if again := Host(Host(spelling)); again != tt.want {
				t.Errorf("%s: the form of the form is %s", spelling, again)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, repository string
		want                bool
	}{
		{"Registry.example.com:443/team/*", "registry.example.com/team/a", true},
		{"registry.example.com/team/*", "REGISTRY.example.com.:443/team/a", true},
		{"registry.example.com/team/*", "registry.example.com:5000/team/a", false},
		{"index.docker.io/team/**", "docker.io/team/a/b", true},
		{"docker.io/nginx", "registry-1.docker.io/library/nginx", true},
		{"docker.io/ngi*", "docker.io/nginx", true},
		{"docker.io/*", "docker.io/team/nginx", false},
		{"docker.io/**", "docker.io/team/nginx", true},
		{"*.EXAMPLE.com:443/x", "a.example.com/x", true},
		{"*.example.com:443/x", "a.example.com:5000/x", false},
		{"*.example.com:*/x", "a.example.com/x", true},
		{"*.localhost:80/x", "a.localhost/x", true},
		{"LOCALHOST:5000/a", "localhost:5000/a", true},
		{"**", "localhost:5000/a", true},
		{"**/catalog", "localhost:5000/a/catalog", true},
		{"oci:/A/*", "oci:/A/b", true},
		{"oci:/A/*", "oci:/a/b", false},
		{"", "oci:/a", true},
	} {
		if got := Match(tt.pattern, tt.repository); got != tt.want {
			t.Errorf("%q, %s: %t, want %t", tt.pattern, tt.repository, got, tt.want)
		}
	}
}

// A host that has the default port of the other scheme keeps it.
func TestRequestHost(t *testing.T) {
	for _, tt := range []struct {
		host  string
		plain bool
		want  string
	}{
		{"index.docker.io", false, "registry-1.docker.io"}, {"docker.io", false, "registry-1.docker.io"},
		{"R.example.com:443", false, "r.example.com"}, {"r.example.com:443", true, "r.example.com:443"},
		{"r.example.com:80", false, "r.example.com:80"}, {"r.example.com:80", true, "r.example.com"},
		{"localhost:443", true, "localhost:443"}, {"[0::1]:80", true, "[::1]"}, {"r.example.com.", false, "r.example.com"},
	} {
		if got := RequestHost(tt.host, tt.plain); got != tt.want {
			t.Errorf("%s, without TLS %t: %s, want %s", tt.host, tt.plain, got, tt.want)
		}
	}
}
