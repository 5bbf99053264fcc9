package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

// owner is the team that publishes, and whom the readers' policy trusts.
type owner struct {
	dir string // with owner.key, owner.pub and policy.yaml
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	o := &owner{dir: t.TempDir()}
	if _, err := writeKeypair(filepath.Join(o.dir, "owner")); err != nil {
		t.Fatal(err)
	}
	policy := "version: 1\ndefault: {keys: [{file: owner.pub}]}\n"
	if err := os.WriteFile(filepath.Join(o.dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *owner) key() string    { return filepath.Join(o.dir, "owner.key") }
func (o *owner) policy() string { return filepath.Join(o.dir, "policy.yaml") }

// victim is a catalog of signed entries, in a registry of its own, for an attack:
// some that nobody attacks, and then app in two versions.
type victim struct {
	*fake
	t        *testing.T
	owner    *owner
	catalog  string // reference
	to       registry.Repository
	others   []string       // names of the entries that nobody attacks
	image    map[string]any // of them
	v1, v2   crafted
	snapshot string // tag of the snapshot that has all of it; "" is none

	requests atomic.Int64 // to the registry
	hiding   sync.Mutex
	hidden   func(tag string) bool // tags that the list leaves out; nil is none
	gone     bool                  // and that are answered 404
}

func newVictim(t *testing.T, o *owner, others int, withSnapshot bool) *victim {
	t.Helper()
	return newVictimIn(t, o, newRegistry(true), others, withSnapshot)
}

func newVictimIn(t *testing.T, o *owner, handler http.Handler, others int, withSnapshot bool) *victim {
	t.Helper()
	v := &victim{fake: &fake{}, t: t, owner: o}
	v.start(v.front(handler), false)
	t.Cleanup(v.server.Close)
	v.catalog = v.host + "/team/catalog"
	v.to = v.open(v.catalog)
	d := v.pushImage("other:1", "1")
	v.image = map[string]any{"reference": v.host + "/team/other:1", "digest": d.Digest, "mediaType": d.MediaType, "size": d.Size}
	var all []crafted
	for i := range others {
		name := fmt.Sprintf("other-%02d", i)
		v.others = append(v.others, name)
		all = append(all, v.unsigned(v.catalog, name, "1", testTime.Add(time.Duration(i-others)*time.Minute)))
	}
	records := v.sign(v.catalog, all...)
	for _, version := range []string{"1", "2"} {
		v.pushImage("app:"+version, version)
		v.must("publish", v.host+"/team/app:"+version, "--name", "app", "--version", version, "--sign-key", o.key())
	}
	published := v.revisions("app")
	v.v1, v.v2 = published[0], published[1]
	if withSnapshot {
		for _, r := range published {
			records = append(records, record(r, v.signature(v.to, r)))
		}
		v.snapshot = v.pushSnapshot(testTime.Add(time.Second), records...)
	}
	return v
}

// front counts requests, and leaves hidden tags out of the list.
func (v *victim) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.requests.Add(1)
		v.hiding.Lock()
		hidden, gone := v.hidden, v.gone
		v.hiding.Unlock()
		if _, tag, found := strings.Cut(r.URL.Path, "/team/catalog/manifests/"); gone && found && hidden(tag) {
			http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}`, http.StatusNotFound)
			return
		}
		if hidden == nil || !strings.HasSuffix(r.URL.Path, "/team/catalog/tags/list") {
			next.ServeHTTP(w, r)
			return
		}
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		var list struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(whole.Body.Bytes(), &list); err != nil {
			v.t.Errorf("the registry's list: %v", err)
		}
		list.Tags = slices.DeleteFunc(list.Tags, hidden)
		_ = json.NewEncoder(w).Encode(list)
	})
}

// hide leaves tags out of the list from now on; gone ones are not there either.
func (v *victim) hide(hidden func(tag string) bool, gone bool) {
	v.hiding.Lock()
	defer v.hiding.Unlock()
	v.hidden, v.gone = hidden, gone
}

func (v *victim) open(reference string) registry.Repository {
	v.t.Helper()
	repository, _, err := openRepository(reference)
	if err != nil {
		v.t.Fatal(err)
	}
	return repository
}

// pushImage pushes an image, a different one for each version.
func (v *victim) pushImage(name, version string) ocispec.Descriptor {
	v.t.Helper()
	build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: version, Created: testTime.Add(-time.Hour)}
	d, err := pushSample("bootc", v.host+"/team/"+name, build)
	if err != nil {
		v.t.Fatal(err)
	}
	return d
}

// caib runs a verb on the catalog in a home of its own, without a policy.
func (v *victim) caib(args ...string) (code int, stdout, stderr string) {
	v.t.Helper()
	return run(v.t, homeEnv(v.t), append([]string{"catalog", "--catalog", v.catalog}, args...)...)
}

// must is caib that has to go well.
func (v *victim) must(args ...string) {
	v.t.Helper()
	if code, _, stderr := v.caib(args...); code != 0 {
		v.t.Fatalf("caib %q: exit code %d, want 0\n%s", args, code, stderr)
	}
}

// sign pushes publications to a catalog, where the owner signs all that there
// are, and returns their records.
func (v *victim) sign(catalog string, all ...crafted) (records [][]byte) {
	v.t.Helper()
	to := v.open(catalog)
	v.push(to, all...)
	if code, _, stderr := run(v.t, homeEnv(v.t), "catalog", "sign", "--all", "--sign-key", v.owner.key(), "--catalog", catalog); code != 0 {
		v.t.Fatalf("sign --all: exit code %d, want 0\n%s", code, stderr)
	}
	for _, r := range all {
		records = append(records, record(r, v.signature(to, r)))
	}
	return records
}

// unsigned is a publication that says what it likes.
func (v *victim) unsigned(catalog, name, version string, at time.Time) crafted {
	v.t.Helper()
	document, err := json.Marshal(map[string]any{
		"name": name, "version": version, "catalog": catalog, "image": v.image,
		"source": map[string]any{"type": "Manual"}, "publishedAt": stamp(at),
	})
	if err != nil {
		v.t.Fatal(err)
	}
	manifest, err := craft(typeEntry, document, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return crafted{publishTag(name, at, digest.FromBytes(manifest)), manifest}
}

// signature is the one that a catalog has for a revision: the layer of its only
// referrer.
func (v *victim) signature(in registry.Repository, r crafted) json.RawMessage {
	v.t.Helper()
	referrers, err := in.Referrers(v.t.Context(), describe(r.manifest))
	if err != nil || len(referrers) != 1 {
		v.t.Fatalf("%s has %d signatures (%v), want 1", r.tag, len(referrers), err)
	}
	_, text, err := in.Manifest(v.t.Context(), referrers[0].Digest.String())
	if err != nil {
		v.t.Fatal(err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil || len(manifest.Layers) != 1 {
		v.t.Fatalf("the signature of %s is %s (%v), want one layer", r.tag, text, err)
	}
	bundle, err := in.Blob(v.t.Context(), manifest.Layers[0])
	if err != nil {
		v.t.Fatal(err)
	}
	return bundle
}

// revisions are those of a name, oldest first.
func (v *victim) revisions(name string) (found []crafted) {
	v.t.Helper()
	listed, err := v.to.Tags(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	for _, tag := range tagsOf(name, listed) {
		_, manifest, err := v.to.Manifest(v.t.Context(), tag)
		if err != nil {
			v.t.Fatal(err)
		}
		found = append(found, crafted{tag, manifest})
	}
	return found
}

// push writes manifests under their tags, whatever is there, and what they embed.
func (v *victim) push(to registry.Repository, all ...crafted) {
	v.t.Helper()
	for _, r := range all {
		var manifest ocispec.Manifest
		if err := json.Unmarshal(r.manifest, &manifest); err != nil {
			v.t.Fatal(err)
		}
		for _, d := range append(manifest.Layers, ocispec.DescriptorEmptyJSON) {
			if digest.FromBytes(d.Data) != d.Digest {
				continue
			}
			if err := to.PushBlob(v.t.Context(), d, d.Data); err != nil {
				v.t.Fatal(err)
			}
		}
		if err := to.PushManifest(v.t.Context(), describe(r.manifest), r.manifest, r.tag); err != nil {
			v.t.Fatal(err)
		}
	}
}

// remove deletes tags.
func (v *victim) remove(tags ...string) {
	v.t.Helper()
	for _, tag := range tags {
		if err := v.to.Delete(v.t.Context(), tag); err != nil {
			v.t.Fatal(err)
		}
	}
}

// read decodes what a reader printed; nothing where it printed nothing.
func read[T any](t *testing.T, stdout string) (document T) {
	t.Helper()
	if err := json.NewDecoder(strings.NewReader(stdout)).Decode(&document); err != nil && err != io.EOF {
		t.Fatalf("standard output is no JSON: %v\n%s", err, quoted(stdout))
	}
	return document
}
