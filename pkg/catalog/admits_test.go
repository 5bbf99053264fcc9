package catalog

import (
	"testing"

	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Origins and catalogs are compared in their normal form.
func TestOriginsAreNormal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		origins []string
		catalog string
		want    bool
	}{
		{"another spelling of the host", []string{"Registry.Example.com:443/team/*"}, "registry.example.com/team/catalog", true},
		{"another catalog", []string{"Registry.Example.com:443/team/*"}, "registry.example.com/other/catalog", false},
		{"unsaid", []string{"**"}, "", false},
		{"no rule about it", nil, "registry.example.com/team/catalog", true},
		{"no rule about it, unsaid", nil, "", true},
		{"the second of two", []string{"registry.example.com/a", "registry.example.com/b"}, "registry.example.com/b", true},
	} {
		if got := admits(trust.AppliedRule{Origins: tt.origins}, tt.catalog); got != tt.want {
			t.Errorf("%s: admits(%q, %q) = %t, want %t", tt.name, tt.origins, tt.catalog, got, tt.want)
		}
	}
	ref, err := registry.ParseReference("Registry.Example.com:443/team/catalog")
	if got, want := ref.Normal().Base(), "registry.example.com/team/catalog"; err != nil || got != want {
		t.Errorf("the normal form is %q, %v, want %q", got, err, want)
	}
}
