package trust

import "testing"

// A rule applies to a catalog however either of them is spelled.
func TestRulesApplyToEverySpelling(t *testing.T) {
	for _, tt := range []struct {
		pattern, catalog string
		want             bool
	}{
		{"LOCALHOST:5000/team/*", "localhost:5000/team/catalog", true},
		{"registry.example.com/**", "Registry.Example.com:443/team/catalog", true},
		{"registry.example.com:443/team/catalog", "registry.example.com/team/catalog", true},
		{"docker.io/catalog", "index.docker.io/library/catalog", true},
		{"*.example.com/**", "REGISTRY.example.com/team/catalog", true},
		{"registry.example.com/**", "registry.example.com:5000/team/catalog", false},
		{"registry.example.com/Team/*", "registry.example.com/team/catalog", false},
		{"oci:/A/*", "oci:/a/catalog", false},
	} {
		rule := &Rule{Catalog: tt.pattern}
		if got := rule.appliesTo(tt.catalog, "name"); got != tt.want {
			t.Errorf("%s to %s: %t", tt.pattern, tt.catalog, got)
		}
	}
}
