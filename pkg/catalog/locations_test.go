package catalog_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// placed is a catalog whose entry "disk" has its image in another registry, the
// origin, and a copy of it in a third one.
type placed struct {
	*world
	t      *testing.T
	origin *replica
	copy   *replica
}

func newPlaced(t *testing.T, sign *catalog.Signing) *placed {
	t.Helper()
	p := &placed{world: newWorld(t, true, nil), t: t, origin: newReplica(t, nil), copy: newReplica(t, nil)}
	pushDisk(t, p.client, p.origin.host+"/os/disk")
	pushDisk(t, p.client, p.copy.host+"/copies/os/disk")
	p.publish(p.open(catalog.Options{}), p.origin.host+"/os/disk:1", catalog.PublishOptions{Name: "disk", Sign: sign})
	return p
}

// says writes a location of the images of the origin.
func (p *placed) says(at string, sign *catalog.Signing) {
	p.t.Helper()
	err := catalog.WriteLocations(p.open(catalog.Options{}), p.t.Context(), []revision.Location{{Prefix: p.origin.host + "/", At: []string{at}}}, sign)
	if err != nil {
		p.t.Fatal(err)
	}
}

// pulls pulls the entry and returns the host that it came from.
func (p *placed) pulls(c *catalog.Catalog) (from string, err error) {
	p.t.Helper()
	result, err := c.Pull(p.t.Context(), "disk", catalog.PullOptions{Dest: filepath.Join(p.t.TempDir(), "disk")})
	if err != nil {
		return "", err
	}
	from, _, _ = strings.Cut(result.Files[0].Place, "/")
	return from, nil
}

// What the catalog says of its own host counts, without a policy, and comes before the
// origin.
func TestACopyOnTheOwnHostCounts(t *testing.T) {
	p := newPlaced(t, nil)
	pushDisk(t, p.client, p.host+"/copies/os/disk")
	if from, err := p.pulls(p.open(catalog.Options{})); err != nil || from != p.origin.host {
		t.Fatalf("without locations: from %s, %v; want %s", from, err, p.origin.host)
	}
	p.says(p.host+"/copies/", nil)
	p.origin.asked = 0
	if from, err := p.pulls(p.open(catalog.Options{})); err != nil || from != p.host || p.origin.asked > 0 {
		t.Errorf("from %s, %v, and the origin was asked %d times; want %s, and never", from, err, p.origin.asked, p.host)
	}
}

// What the catalog says of another host counts if the policy verifies it, or the
// reader's own settings say the same.
func TestACopyOnAnotherHostHasToBeVerified(t *testing.T) {
	owner, stranger := team(t), team(t)
	for _, tt := range []struct {
		name   string
		sign   *catalog.Signing
		policy *trust.Policy
		counts bool
		reason string
	}{
		{"unsigned, no policy", nil, nil, false, "without a policy"},
		{"signed, no policy", owner, nil, false, "without a policy"},
		{"unsigned, policy", nil, trusting(t, owner), false, "unsigned"},
		{"signed by a stranger, policy", stranger, trusting(t, owner), false, "untrusted"},
		{"signed, policy", owner, trusting(t, owner), true, "as the policy wants"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlaced(t, owner)
			p.says(p.copy.host+"/copies/", tt.sign)
			p.copy.asked = 0
			c := p.open(catalog.Options{Policy: tt.policy})
			want := p.origin.host
			if tt.counts {
				want = p.copy.host
			}
			if from, err := p.pulls(c); err != nil || from != want || (p.copy.asked > 0) != tt.counts {
				t.Errorf("from %s, %v, and the copy was asked %d times; want %s", from, err, p.copy.asked, want)
			}
			all, err := c.Locations(t.Context())
			say := []catalog.Location{{Prefix: p.origin.host + "/", At: p.copy.host + "/copies/", Counts: tt.counts}}
			if diff := cmp.Diff(say, all, cmpopts.IgnoreFields(catalog.Location{}, "Reason")); err != nil || diff != "" || !strings.Contains(all[0].Reason, tt.reason) {
				t.Errorf("%v, %+v; want the reason %q\n%s", err, all, tt.reason, diff)
			}
		})
	}
	p := newPlaced(t, nil)
	p.says(p.copy.host+"/copies/", nil)
	client, err := registry.New(registry.Options{Mirrors: []registry.Mirror{{Prefix: p.origin.host, Location: p.copy.host + "/copies"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(p.host+"/team/catalog", catalog.Options{Registry: client})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := c.Locations(t.Context()); err != nil || len(all) != 1 || !all[0].Counts || !strings.Contains(all[0].Reason, "configured") {
		t.Errorf("configured here: %v, %+v; want that it counts", err, all)
	}
}

// A layout that holds the images itself says so, and can be moved.
func TestALayoutHoldsItsImages(t *testing.T) {
	p := newPlaced(t, nil)
	dir := filepath.Join(t.TempDir(), "before")
	open := func(at string) *catalog.Catalog {
		c, err := catalog.Open("oci:"+at, catalog.Options{Registry: p.newClient()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := open(dir)
	p.publish(before, p.origin.host+"/os/disk:1", catalog.PublishOptions{Name: "disk"})
	pushDisk(t, p.client, "oci:"+dir)
	if err := catalog.WriteLocations(before, t.Context(), []revision.Location{{Prefix: p.origin.host + "/os/disk/", At: []string{revision.OwnLayout}}}, nil); err != nil {
		t.Fatal(err)
	}
	after := filepath.Join(filepath.Dir(dir), "after")
	rename(t, dir, after)
	p.origin.asked = 0
	result, err := open(after).Pull(t.Context(), "disk", catalog.PullOptions{Dest: filepath.Join(t.TempDir(), "disk")})
	if err != nil || result.Files[0].Place != "oci:"+after || p.origin.asked > 0 {
		t.Errorf("%v, %+v, and the origin was asked %d times; want it from the layout", err, result.Files, p.origin.asked)
	}
	p.says(revision.OwnLayout, nil)
	if all, err := p.open(catalog.Options{}).Locations(t.Context()); err != nil || len(all) != 1 || all[0].Counts {
		t.Errorf("a registry that says that its layout has the images: %v, %+v; want that it does not count", err, all)
	}
}

// What stands is not written again. Who signs does not take a stranger's word for
// what stands.
func TestLocationsAreWrittenOnce(t *testing.T) {
	p, owner := newPlaced(t, nil), team(t)
	artifacts := func() (tags []string) {
		repository, err := p.newClient().Open(parse(t, p.host+"/team/catalog"))
		if err != nil {
			t.Fatal(err)
		}
		listed, err := repository.Tags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(listed, func(tag string) bool { return !strings.HasPrefix(tag, "_locations.") })
	}
	for _, step := range []struct {
		name string
		at   string
		sign *catalog.Signing
		want int
	}{
		{"the first", "a.corp/", nil, 1},
		{"the same", "a.corp/", nil, 1},
		{"another", "b.corp/", nil, 2},
		{"the first again", "a.corp/", nil, 2},
		{"signed", "a.corp/", owner, 3},
		{"signed again", "a.corp/", owner, 3},
		{"signed by somebody else", "a.corp/", team(t), 4},
	} {
		p.says(step.at, step.sign)
		if tags := artifacts(); len(tags) != step.want {
			t.Errorf("%s: %d artifacts, want %d", step.name, len(tags), step.want)
		}
	}
	all, err := p.open(catalog.Options{Policy: trusting(t, owner)}).Locations(t.Context())
	if err != nil || len(all) != 2 || all[0].At != "a.corp/" || !all[0].Counts || all[1].At != "b.corp/" || all[1].Counts {
		t.Errorf("%v, %+v; want that a.corp/ counts, and b.corp/, which a stranger put there, does not", err, all)
	}
}

// Whoever signs keyless, and has no policy, cannot tell whose a signature is: a place on
// another host that a stranger has signed is not signed once more.
func TestAKeylessSignerTakesNoStrangersPlaces(t *testing.T) {
	p := newPlaced(t, nil)
	p.says("stranger.corp/", team(t))
	owner := team(t)
	owner.Signer.Keyless = true
	p.says(p.host+"/copies/", owner)
	all, err := p.open(catalog.Options{Policy: trusting(t, owner)}).Locations(t.Context())
	if err != nil || len(all) != 2 || all[1].At != "stranger.corp/" || all[1].Counts {
		t.Errorf("%v, %+v; want that what the stranger put there does not count", err, all)
	}
}

// Reading a catalog takes no request more because of its locations.
func TestLocationsCostAListNothing(t *testing.T) {
	p := newPlaced(t, nil)
	list := func() []string {
		c := p.open(catalog.Options{CacheDir: t.TempDir()})
		return p.counter.during(func() {
			if _, err := c.List(t.Context(), catalog.ListOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	before := list()
	p.says(p.host+"/copies/", nil)
	if diff := cmp.Diff(before, list()); diff != "" {
		t.Errorf("the requests of a list without locations, and with some:\n%s", diff)
	}
}

// Who is far ahead says nothing, and a forged artifact is told.
func TestForgedLocationsAreWarnedOf(t *testing.T) {
	p := newPlaced(t, nil)
	p.push("team/catalog", "_locations.0mm5d2l0r.l0123456789abcdef", "x")
	var warned []catalog.Warning
	c := p.open(catalog.Options{Warn: func(w catalog.Warning) { warned = append(warned, w) }})
	if from, err := p.pulls(c); err != nil || from != p.origin.host {
		t.Errorf("from %s, %v; want %s", from, err, p.origin.host)
	}
	all, err := c.Locations(t.Context())
	if err != nil || len(all) > 0 || len(warned) != 1 || !strings.Contains(warned[0].Err.Error(), "_locations.") {
		t.Errorf("%v, %+v, warnings %v; want none, and a warning of the artifact", err, all, warned)
	}
	ahead := p.open(catalog.Options{Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	if err := catalog.WriteLocations(ahead, t.Context(), []revision.Location{{Prefix: "a.example/", At: []string{"b.corp/"}}}, nil); err == nil {
		t.Error("a writer whose clock is two days ahead wrote")
	} else if !strings.Contains(err.Error(), "clock") || isKind(err, entry.ErrInvalid) {
		t.Errorf("a writer whose clock is ahead: %v", err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// With a copy, the origin can be switched off: where the image is asked for is shown,
// it is verified with its attachment and its signatures, and its tag is not known.
func TestVerifyWithoutTheOrigin(t *testing.T) {
	owner := team(t)
	p := &placed{world: newWorld(t, true, nil), t: t, origin: newReplica(t, nil)}
	server := httptest.NewServer(p.origin)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	pushDisk(t, p.client, host+"/os/disk")
	sign := *owner
	sign.Image = true
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{owner.Signer.PublicKey()}, Require: []trust.Subject{trust.SubjectEntry, trust.SubjectImage}})
	if err != nil {
		t.Fatal(err)
	}
	item := p.publish(p.open(catalog.Options{}), host+"/os/disk:1", catalog.PublishOptions{Name: "disk", Sign: &sign}).Item
	copyRepository(t, p.client, host+"/os/disk", p.host+"/copies/os/disk", item.Digest)
	if err := catalog.WriteLocations(p.open(catalog.Options{}), t.Context(), []revision.Location{{Prefix: host + "/", At: []string{p.host + "/copies/"}}}, nil); err != nil {
		t.Fatal(err)
	}
	server.Close()
	c := p.open(catalog.Options{Policy: policy})
	got, err := c.Get(t.Context(), "disk", catalog.GetOptions{})
	if want := p.host + "/copies/os/disk@" + item.Digest.String(); err != nil || got.Location != want || got.Verdict != entry.VerdictVerified {
		t.Fatalf("get: %v, location %q, verdict %q; want %q, verified", err, got.Location, got.Verdict, want)
	}
	v, err := c.Verify(t.Context(), "disk", catalog.VerifyOptions{})
	if err != nil || v.Verdict != entry.VerdictVerified {
		t.Fatalf("verify: %v, %+v", err, v)
	}
	results := map[trust.Subject]catalog.Outcome{}
	for _, check := range v.Checks {
		results[check.What] = check.Result
		if check.What == catalog.CheckDigest && !strings.Contains(check.Reason, p.host+"/copies/os/disk") {
			t.Errorf("the digest was found %q; want that it says where", check.Reason)
		}
	}
	for what, want := range map[trust.Subject]catalog.Outcome{catalog.CheckDigest: catalog.OK, catalog.CheckContent: catalog.OK, catalog.CheckAttachment: catalog.OK, catalog.CheckReference: catalog.Unknown} {
		if results[what] != want {
			t.Errorf("%s is %s, want %s: %+v", what, results[what], want, v.Checks)
		}
	}
	asked := 0
	for _, request := range p.counter.during(func() { _, err = c.Verify(t.Context(), "disk", catalog.VerifyOptions{}) }) {
		if strings.HasSuffix(request, "/v2/") || strings.Contains(request, "/v2/os/disk/") {
			asked++
		}
	}
	if err != nil || asked > 0 {
		t.Errorf("%v, and the origin was asked %d times again", err, asked)
	}
}

// copyRepository copies an image and what refers to it from one repository to another.
func copyRepository(t *testing.T, client *registry.Client, from, to string, image digest.Digest) {
	t.Helper()
	source, err := client.Open(parse(t, from))
	if err != nil {
		t.Fatal(err)
	}
	target, err := client.Open(parse(t, to))
	if err != nil {
		t.Fatal(err)
	}
	var put func(d digest.Digest, subject *ocispec.Descriptor)
	put = func(d digest.Digest, subject *ocispec.Descriptor) {
		descriptor, manifest, err := source.Manifest(t.Context(), d.String())
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			Config            *ocispec.Descriptor
			Layers, Manifests []ocispec.Descriptor
		}
		if err := json.Unmarshal(manifest, &parsed); err != nil {
			t.Fatal(err)
		}
		for _, child := range parsed.Manifests {
			put(child.Digest, nil)
		}
		blobs := parsed.Layers
		if parsed.Config != nil {
			blobs = append(blobs, *parsed.Config)
		}
		for _, blob := range blobs {
			content, err := source.Blob(t.Context(), blob)
			if err == nil {
				err = target.PushBlob(t.Context(), blob, content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if subject != nil {
			err = target.PushReferrer(t.Context(), descriptor, manifest, *subject)
		} else {
			err = target.PushManifest(t.Context(), descriptor, manifest, d.String())
		}
		if err != nil {
			t.Fatal(err)
		}
		referrers, err := source.Referrers(t.Context(), descriptor)
		if err != nil {
			t.Fatal(err)
		}
		for _, referrer := range referrers {
			put(referrer.Digest, &descriptor)
		}
	}
	put(image, nil)
}
