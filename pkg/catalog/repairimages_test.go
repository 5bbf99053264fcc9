package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// signedCatalog is a catalog of two signed entries in a registry, and its readers.
type signedCatalog struct {
	*world
	sign   *catalog.Signing
	policy *trust.Policy
	images map[string]string // by name
	state  string
}

func newSignedCatalog(t *testing.T, referrers bool) *signedCatalog {
	t.Helper()
	s := &signedCatalog{world: newWorld(t, referrers, nil), sign: team(t), images: map[string]string{}, state: t.TempDir()}
	s.policy = trusting(t, s.sign)
	for _, name := range []string{"a", "b"} {
		s.images[name] = s.push("os/"+name, "1", name)
		s.publish(s.reader(), s.images[name], catalog.PublishOptions{Name: name, Sign: s.sign})
	}
	return s
}

// reader is the one that has seen the catalog.
func (s *signedCatalog) reader() *catalog.Catalog {
	return s.open(catalog.Options{Policy: s.policy, StateDir: s.state, Fresh: -1})
}

func (s *signedCatalog) examine() *catalog.Examination {
	s.t.Helper()
	found, err := s.reader().Examine(s.t.Context(), catalog.ExamineOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// mends requires that a repair mends everything, and that the next one writes nothing.
func (s *signedCatalog) mends() {
	s.t.Helper()
	found := s.examine()
	if err := found.Repair(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := found.Err(); err != nil {
		s.t.Errorf("after the repair: %v: %+v", err, found.Findings)
	}
	requests := s.counter.during(func() {
		again := s.examine()
		if len(again.Findings) > 0 {
			s.t.Errorf("examined again: %+v, want whole", again.Findings)
		}
		if err := again.Repair(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	})
	if wrote := writes(requests); len(wrote) > 0 {
		s.t.Errorf("the second repair wrote %q", wrote)
	}
}

// drop deletes what is under those tags of a repository that match, by its digest.
func (s *signedCatalog) drop(repository string, match func(tag string) bool) {
	s.t.Helper()
	to, err := s.client.Open(parse(s.t, s.host+"/"+repository))
	if err != nil {
		s.t.Fatal(err)
	}
	tags, err := to.Tags(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	dropped := false
	for _, tag := range tags {
		if match(tag) {
			dropped = true
			if err := to.Delete(s.t.Context(), tag); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	if !dropped {
		s.t.Fatalf("none of the tags of %s is to be deleted: %q", repository, tags)
	}
}

func (s *signedCatalog) dropReferrers(repository, image string) {
	s.t.Helper()
	for d := range s.attached(image) {
		s.forget(repository, d)
	}
}

// revisionOf is the revision of an entry as an image reference.
func (s *signedCatalog) revisionOf(name string) string {
	s.t.Helper()
	tags, err := s.catalogRepository().Tags(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, text := range tags {
		if tag, ok := revision.ParseTag(text); ok && tag.Name == name {
			return s.host + "/team/catalog:" + text
		}
	}
	s.t.Fatalf("no revision of %s among %q", name, tags)
	return ""
}

func TestWhatIsBesideImagesIsMended(t *testing.T) {
	isKeep := func(tag string) bool { return strings.HasPrefix(tag, "caib.") }
	for _, tt := range []struct {
		name     string
		damage   func(s *signedCatalog)
		want     []string
		dangling []string // where there is no Referrers API, more than that
	}{
		{"nothing", func(*signedCatalog) {}, nil, nil},
		{"attachment and signatures are gone", func(s *signedCatalog) { s.dropReferrers("os/a", s.images["a"]) },
			[]string{"attachment a missing can", "attachment a missing can"}, []string{"referrers a damaged can"}},
		{"a signature is gone", func(s *signedCatalog) { s.dropReferrers("team/catalog", s.revisionOf("b")) },
			[]string{"signature b missing can"}, []string{"referrers  damaged can"}},
		{"a revision is gone, and its signature", func(s *signedCatalog) {
			s.dropReferrers("team/catalog", s.revisionOf("b"))
			s.world.remove(strings.TrimPrefix(s.revisionOf("b"), s.host+"/team/catalog:"))
		}, []string{"revision b lost can"}, []string{"referrers  damaged can"}},
		{"what keeps an image is gone", func(s *signedCatalog) {
			if s.drop("os/b", isKeep); !slices.Contains(strings.Split(s.t.Name(), "/"), "api") {
				s.dropReferrers("os/b", s.images["b"]) // they are kept by such tags, too
			}
		}, []string{"keep tag b missing can"}, []string{"attachment b missing can", "attachment b missing can", "referrers b damaged can"}},
		{"what keeps an image names another one", func(s *signedCatalog) { s.moveKeepTags("os/b") }, []string{"keep tag b damaged can"}, nil},
	} {
		for name, referrers := range map[string]bool{"api": true, "fallback": false} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newSignedCatalog(t, referrers)
				want := slices.Clone(tt.want)
				if !referrers {
					want = append(want, tt.dangling...)
				}
				s.examine() // this reader has seen it whole
				tt.damage(s)
				got := states(s.examine())
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(diff)
				}
				s.mends()
				if _, err := s.fresh(catalog.Options{Policy: s.policy}).Verify(t.Context(), "b", catalog.VerifyOptions{}); err != nil {
					t.Errorf("verify after the repair: %v", err)
				}
			})
		}
	}
}

// moveKeepTags makes those of an image name another manifest.
func (s *signedCatalog) moveKeepTags(repository string) {
	s.t.Helper()
	s.push(repository, "other", "other")
	to, err := s.client.Open(parse(s.t, s.host+"/"+repository))
	if err != nil {
		s.t.Fatal(err)
	}
	image, err := to.Resolve(s.t.Context(), "1")
	if err != nil {
		s.t.Fatal(err)
	}
	other, manifest, err := to.Manifest(s.t.Context(), "other")
	if err != nil {
		s.t.Fatal(err)
	}
	tags, err := to.Tags(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, tag := range tags {
		if strings.HasPrefix(tag, "caib."+image.Digest.Encoded()[:32]) {
			if err := to.PushManifest(s.t.Context(), other, manifest, tag); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}
