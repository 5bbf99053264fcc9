package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// cmdUntag is `untag REPOSITORY NAME`: the newest revision of an entry loses its
// tag; $UNTAGGED is what it was.
func cmdUntag(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: untag REPOSITORY NAME")
	}
	repository, _, err := openRepository(args[0])
	ts.Check(err)
	listed, err := repository.Tags(context.Background())
	ts.Check(err)
	tags := tagsOf(args[1], listed)
	if len(tags) == 0 {
		ts.Fatalf("%s has no revision of %s: %q", args[0], args[1], listed)
	}
	newest := tags[len(tags)-1]
	ts.Check(repository.Delete(context.Background(), newest))
	ts.Setenv("UNTAGGED", newest)
	for _, f := range worldOf(ts).registries {
		f.takeWrites() // the test's own are no finding
	}
}

// A cache in front of a registry that it cannot reach has some of the tags and
// answers 404 to the rest: whoever saw more is told that nothing can be said.
func TestAPullThroughCacheIsNotBelieved(t *testing.T) {
	for what, policy := range map[string]bool{"without a policy": false, "with a policy": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := newOwner(t)
			v := newVictim(t, o, 42, false)
			path := ""
			if policy {
				path = o.policy()
			}
			readers := newAttackReaders(v, path)
			readers.see()
			cached := map[string]bool{}
			for _, name := range v.others[:16] {
				cached[v.revisions(name)[0].tag] = true
			}
			upstream := func(tag string) bool { return !cached[tag] && !strings.HasPrefix(tag, "sha256") }
			v.hide(upstream, true)
			for _, reading := range []string{"first", "second"} {
				for _, args := range [][]string{{"list"}, {"get", "app"}, {"get", v.others[0]}} {
					code, stdout, stderr := run(t, readers.list, append([]string{"catalog"}, args...)...)
					if code != exitUnreachable || stdout != "" || !strings.Contains(stderr, "27 of 43 entries") {
						t.Errorf("the %s reading: %v: exit code %d, want 8 and no answer\n%s%s", reading, args, code, stdout, stderr)
					}
					for _, word := range []string{"cache", "rule that deletes tags", "accept-loss --local --all"} {
						if !strings.Contains(stderr, "hint: ") || !strings.Contains(stderr, word) {
							t.Errorf("the %s reading: %v: no hint of %q:\n%s", reading, args, word, stderr)
						}
					}
				}
			}
			v.hide(nil, false)
			readers.see() // the registry answers again, and nothing was lost on the way
			v.hide(upstream, true)
			if code, _, stderr := run(t, readers.list, "catalog", "accept-loss", "--local", "--all"); code != 0 {
				t.Errorf("accept-loss --local --all: exit code %d\n%s", code, stderr)
			}
			code, stdout, stderr := run(t, readers.list, "catalog", "list", "-o", "json")
			if page := read[entry.Page](t, stdout); code != 0 || page.Total != 16 {
				t.Errorf("after that: exit code %d, %d entries, want 0 and 16\n%s", code, page.Total, stderr)
			}
		})
	}
}

// A reader counts what a snapshot has and the registry does not.
func TestDeletedRevisionsAreCounted(t *testing.T) {
	t.Parallel()
	v := newVictim(t, newOwner(t), 40, true)
	for deleted, want := range []string{
		1:  "1 record of revisions (",
		2:  "2 records of revisions (",
		30: "30 records of revisions that",
	} {
		if want == "" {
			continue
		}
		for _, name := range v.others[:deleted] {
			if left := v.revisions(name); len(left) > 0 {
				v.remove(left[0].tag)
			}
		}
		code, stdout, stderr := v.caib("list", "-o", "json")
		if page := read[entry.Page](t, stdout); code != 0 || page.Total != 41-deleted || !strings.Contains(stderr, "has "+want) {
			t.Errorf("%d deleted: exit code %d, %d entries, want %q:\n%s", deleted, code, page.Total, want, stderr)
		}
	}
}

// The newest revision says how many there were: whoever is shown fewer is
// warned, although it never saw the rest.
func TestARetentionRuleIsNoticed(t *testing.T) {
	t.Parallel()
	v := newVictim(t, newOwner(t), 12, false)
	lists := map[string]func(args ...string) (int, string, string){"without a policy": v.caib, "with a policy": v.underPolicy}
	for what, list := range lists {
		if code, _, stderr := list("list", "-o", "name"); code != 0 || stderr != "" {
			t.Errorf("%s, nothing deleted: exit code %d, said %q", what, code, stderr)
		}
	}
	for deleted := range 9 {
		v.remove(v.revisions(v.others[deleted])[0].tag)
		if deleted > 0 && deleted < 8 {
			continue
		}
		want := fmt.Sprintf("lists %d revisions beside the newest one (%s), whose writer saw 13", 12-deleted, v.v2.tag)
		for what, list := range lists {
			code, stdout, stderr := list("list", "-o", "name")
			if lines := strings.Count(stdout, "\n"); code != 0 || lines != 12-deleted || !strings.Contains(stderr, want) {
				t.Errorf("%s, %d deleted: exit code %d, %d entries, want %q:\n%s", what, deleted+1, code, lines, want, stderr)
			}
		}
	}
}

// verify looks where signatures are, and not into what was verified before.
func TestAVanishedSignatureIsNoticed(t *testing.T) {
	for what, tt := range map[string]struct {
		snapshot bool
		code     int
		reason   string
	}{
		"no snapshot":        {false, exitUntrusted, "1 listed signature is gone"},
		"a snapshot has one": {true, exitOK, "by a signature that a snapshot carries; in the registry 1 listed signature is gone"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := newOwner(t)
			v := newVictimIn(t, o, newRegistry(false), 1, tt.snapshot)
			warm := newAttackReaders(v, o.policy())
			warm.see()
			v.collectSignature(v.v2)
			var checks []catalog.Check
			for reader, env := range map[string]map[string]string{"warm": warm.list, "cold": newAttackReaders(v, o.policy()).list} {
				code, stdout, stderr := run(t, env, "catalog", "verify", "app", "-o", "json")
				found := read[struct{ Items []catalog.Verification }](t, stdout).Items
				if code != tt.code || len(found) != 1 {
					t.Fatalf("%s: exit code %d, want %d\n%s%s", reader, code, tt.code, stdout, stderr)
				}
				checks = append(checks, found[0].Checks[len(found[0].Checks)-1])
			}
			if checks[0].Reason != tt.reason || checks[0] != checks[1] {
				t.Errorf("the last checks are %+v and %+v, want %q twice", checks[0], checks[1], tt.reason)
			}
		})
	}
}

// collectSignature deletes what a registry without the Referrers API takes for
// garbage: the untagged manifest of a signature. The index still lists it.
func (v *victim) collectSignature(r crafted) {
	v.t.Helper()
	subject := describe(r.manifest)
	referrers, err := v.to.Referrers(v.t.Context(), subject)
	if err != nil || len(referrers) != 1 {
		v.t.Fatalf("%d referrers, %v, want 1", len(referrers), err)
	}
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodDelete, "http://"+v.catalogURL(referrers[0].Digest), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusAccepted {
		v.t.Fatalf("delete the signature: %v, %v", response, err)
	}
	response.Body.Close()
}

func (v *victim) catalogURL(d digest.Digest) string {
	return v.host + "/v2/team/catalog/manifests/" + d.String()
}

// No reader sees a publication before its signature.
func TestPublicationsAreSignedBeforeTheyAreSeen(t *testing.T) {
	const publications, lists = 20, 20 // lists of each of two readers
	o := newOwner(t)
	v := newVictim(t, o, 1, false)
	published := make(chan struct{})
	publish := func(t *testing.T) {
		defer close(published)
		env := homeEnv(t)
		for i := range publications {
			code, _, stderr := run(t, env, "catalog", "publish", v.host+"/team/app:2", "--catalog", v.catalog,
				"--name", "app", "--version", fmt.Sprint("2.", i), "--sign-key", o.key())
			if code != 0 {
				t.Fatalf("publication %d: exit code %d\n%s", i, code, stderr)
			}
		}
	}
	read := func(t *testing.T) {
		env := newAttackReaders(v, o.policy()).list
		for i, done := 0, false; i < lists || !done; i++ {
			select {
			case <-published:
				done = true
			default:
			}
			code, stdout, stderr := run(t, env, "catalog", "list", "-o", "name")
			if code != 0 || !strings.Contains(stdout, "app\n") {
				t.Fatalf("list %d: exit code %d, want 0 and app\n%s%s", i, code, stdout, stderr)
			}
		}
	}
	for name, task := range map[string]func(*testing.T){"publisher": publish, "first reader": read, "second reader": read} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task(t)
		})
	}
}
