package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

var (
	sha256sum = digest.FromString("x")
	sha512sum = digest.SHA512.FromString("x")
)

func TestParseReference(t *testing.T) {
	at := "@" + sha256sum.String()
	for _, tt := range []struct {
		text string
		want Reference
	}{
		{"registry.example.com/team/image:1.0", Reference{Registry: "registry.example.com", Repository: "team/image", Tag: "1.0"}},
		{"registry.example.com/image", Reference{Registry: "registry.example.com", Repository: "image"}},
		{"localhost:5000/a/b/c:x", Reference{Registry: "localhost:5000", Repository: "a/b/c", Tag: "x"}},
		{"localhost:5000/a", Reference{Registry: "localhost:5000", Repository: "a"}},
		{"127.0.0.1:5000/a", Reference{Registry: "127.0.0.1:5000", Repository: "a"}},
		{"[::1]:5000/a:t", Reference{Registry: "[::1]:5000", Repository: "a", Tag: "t"}},
		{"r.example.com/a" + at, Reference{Registry: "r.example.com", Repository: "a", Digest: sha256sum}},
		{"r.example.com/a:t" + at, Reference{Registry: "r.example.com", Repository: "a", Tag: "t", Digest: sha256sum}},
		{"r.example.com/a@" + sha512sum.String(), Reference{Registry: "r.example.com", Repository: "a", Digest: sha512sum}},
		{"r.example.com/a:" + strings.Repeat("t", 128), Reference{Registry: "r.example.com", Repository: "a", Tag: strings.Repeat("t", 128)}},
		{"a-b_c.x-y/a--b:1-", Reference{Registry: "a-b_c.x-y", Repository: "a--b", Tag: "1-"}},
		{"oci:./catalog", Reference{Layout: "./catalog"}},
		{"oci:catalog:1", Reference{Layout: "catalog", Tag: "1"}},
		{"oci:/var/lib/catalog" + at, Reference{Layout: "/var/lib/catalog", Digest: sha256sum}},
		{"oci:/a b/ü:t" + at, Reference{Layout: "/a b/ü", Tag: "t", Digest: sha256sum}},
		{"oci:/a:b/c", Reference{Layout: "/a:b/c"}},
		{`oci:C:\images`, Reference{Layout: `C:\images`}},
		{`oci:C:\images:1`, Reference{Layout: `C:\images`, Tag: "1"}},
	} {
		t.Run(tt.text, func(t *testing.T) {
			got, err := ParseReference(tt.text)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			if got.String() != tt.text {
				t.Errorf("spelled back as %s", got)
			}
		})
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"nothing", ""},
		{"no registry", "image"},
		{"no registry, with a tag", "image:1.0"},
		{"no repository", "registry.example.com/"},
		{"a scheme", "https://registry.example.com/a"},
		{"another transport", "docker://registry.example.com/a"},
		{"a layout as a URL", "oci://var/lib/catalog"},
		{"upper case", "registry.example.com/Team/image"},
		{"an empty tag", "registry.example.com/a:"},
		{"a tag that is too long", "registry.example.com/a:" + strings.Repeat("t", 129)},
		{"a tag with a space", "registry.example.com/a:1 0"},
		{"a host that is an option", "-x.example.com/a:1"},
		{"a host that is a long option", "--authfile/a:1"},
		{"a part of a host that begins with a hyphen", "r.-example.com/a:1"},
		{"a repository that begins with a hyphen", "r.example.com/-a:1"},
		{"a part of a repository that does", "r.example.com/a/-b:1"},
		{"a tag that does", "r.example.com/a:-1"},
		{"a tag of a layout that does", "oci:/srv/a:-1"},
		{"a path out of the repository", "registry.example.com/a/../b"},
		{"a query", "registry.example.com/a?x=y"},
		{"credentials", "user:secret@registry.example.com/a"},
		{"a short digest", "registry.example.com/a@sha256:00"},
		{"an unknown algorithm", "registry.example.com/a@md5:" + strings.Repeat("0", 32)},
		{"sha384, which the format does not have", "registry.example.com/a@" + digest.SHA384.FromString("x").String()},
		{"a digest that leaves its directory", "oci:x@sha256:../../../etc/passwd"},
		{"two digests", "registry.example.com/a@" + sha256sum.String() + "@" + sha256sum.String()},
		{"a layout without a path", "oci:"},
		{"a layout with only a tag", "oci::1"},
		{"a line break", "registry.example.com/a:1\n"},
		{"an escape sequence", "oci:\x1b[2J"},
		{"a bidirectional override", "oci:\u202e"},
		{"an invisible character", "oci:a\u200bb"},
		{"a kilobyte", "oci:" + strings.Repeat("x", 1021)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ref, err := ParseReference(tt.text)
			if !errors.Is(err, entry.ErrInvalid) || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x1b\n\u202e") {
				t.Errorf("%+v, %q", ref, err)
			}
		})
	}
}

func TestReferenceTarget(t *testing.T) {
	for _, tt := range []struct {
		ref  Reference
		want string
	}{
		{Reference{}, "latest"},
		{Reference{Tag: "1"}, "1"},
		{Reference{Tag: "1", Digest: sha256sum}, sha256sum.String()},
	} {
		if got := tt.ref.Target(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.ref, got, tt.want)
		}
	}
}

func TestPlainHTTPDefaults(t *testing.T) {
	for _, tt := range []struct {
		host                    string
		loopback, always, never bool
	}{
		{"localhost", true, true, false},
		{"localhost:5000", true, true, false},
		{"registry.localhost:5000", true, true, false},
		{"127.0.0.1:5000", true, true, false},
		{"127.8.8.8", true, true, false},
		{"[::1]:5000", true, true, false},
		{"[::1]", true, true, false},
		{"registry.example.com", false, true, false},
		{"notlocalhost:5000", false, true, false},
		{"localhost.example.com", false, true, false},
		{"10.0.0.1:5000", false, true, false},
		{"0.0.0.0:5000", false, true, false},
	} {
		for _, mode := range []struct {
			name  string
			plain func(string) bool
			want  bool
		}{{"default", nil, tt.loopback}, {"always", always, tt.always}, {"never", never, tt.never}} {
			repository := open(t, tt.host, Options{PlainHTTP: mode.plain}).(*remoteRepository)
			if got := repository.scheme == "http"; got != mode.want {
				t.Errorf("%s, %s: plain HTTP: got %t, want %t", tt.host, mode.name, got, mode.want)
			}
		}
	}
}

func TestOpenRefusesMalformedRepositories(t *testing.T) {
	client, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []Reference{{}, {Registry: "r.example.com"}, {Repository: "a"}, {Registry: "r.example.com", Repository: "A"}, {Registry: "r/x", Repository: "a"}} {
		if repository, err := client.Open(ref); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%+v: %v, %v", ref, repository, err)
		}
	}
}

// What is accepted is spelled back in the form that parses to the same.
func FuzzParseReference(f *testing.F) {
	for _, text := range []string{
		"registry.example.com/team/image:1.0", "localhost:5000/a", "[::1]:5000/a:t", "r.example.com/a:t@" + sha256sum.String(),
		"oci:./catalog:1", "oci:/a:b/c", `oci:C:\images:1`, "oci:a@" + sha512sum.String(), "oci::", "@", ":", "a/b:c:d",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := ParseReference(text)
		if err != nil {
			if !errors.Is(err, entry.ErrInvalid) {
				t.Errorf("%v is no ErrInvalid", err)
			}
			return
		}
		if (ref.Layout == "") == (ref.Registry == "" || ref.Repository == "") {
			t.Errorf("%q gives %+v: neither a registry nor a layout", text, ref)
		}
		again, err := ParseReference(ref.String())
		if diff := cmp.Diff(ref, again); err != nil || diff != "" {
			t.Errorf("%q is spelled back as %q: %v\n%s", text, ref, err, diff)
		}
	})
}

// A host that has several spellings in other letters, or that resolvers read in
// another way than rules are compared in, is refused.
func TestHostsInOtherLetters(t *testing.T) {
	for _, text := range []string{
		"ｌocalhost:5000/team/image", "ⅼocalhost:5000/team/image", "loc\u00adalhost:5000/team/image", "127。0。0。1:5000/team/image",
		"１２７.0.0.1/team/image", "ｑuay.io/team/image:1", "quay。io/team/image", "bücher.example/team/image", "\u212aey.example/team/image",
		"registry.example.com:５000/team/image", "quay.io../team/image", "quay.io..:443/team/image", "quay..io/team/image", ".quay.io/team/image", "./team/image", "../team/image",
	} {
		if ref, err := ParseReference(text); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%q: %+v, %v; want invalid", text, ref, err)
		}
		if got := normalText(text); got != text {
			t.Errorf("%q is %q in normal form", text, got)
		}
	}
	for text, want := range map[string]string{
		"quay.io./team/image": "quay.io/team/image", "xn--bcher-kva.example/team/image": "xn--bcher-kva.example/team/image",
		"[::1]:80/team/image": "[::1]/team/image", "oci:bücher/image:1": "oci:bücher/image:1",
	} {
		if got := normalText(text); got != want {
			t.Errorf("%q is %q in normal form, want %q", text, got, want)
		}
	}
}
