package catalog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A layout that was set back, signatures and all, is noticed by verify, which
// asks the registry anew, as it is by list.
func TestVerifyNoticesARollback(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	dir := t.TempDir()
	options := catalog.Options{
		Registry: w.client, Recheck: time.Millisecond, Policy: trusting(t, sign),
		CacheDir: t.TempDir(), StateDir: t.TempDir(),
	}
	open := func() *catalog.Catalog {
		c, err := catalog.Open("oci:"+dir, options)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.publish(open(), w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "a", Version: "1", Sign: sign})
	index := filepath.Join(dir, "index.json")
	before, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	w.publish(open(), w.push("team/image", "2", "2"), catalog.PublishOptions{Name: "a", Version: "2", Sign: sign})
	if _, err := open().List(t.Context(), catalog.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, before, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		v, err := open().Verify(t.Context(), "a", catalog.VerifyOptions{})
		if v.Verdict != entry.VerdictInvalid || !errors.Is(err, entry.ErrUntrusted) || !strings.Contains(err.Error(), "rolled back") {
			t.Errorf("verified as %q, %v; want a rollback", v.Verdict, err)
		}
	}
}

// A publication that is written is a success where what was seen cannot be
// written down, and all that follows it is done.
func TestAStateThatCannotBeWrittenFailsNoPublication(t *testing.T) {
	w := newWorld(t, true, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.open(catalog.Options{StateDir: filepath.Join(file, "below")})
	if result := w.publish(c, w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "a"}); result.Attachment.Outcome != catalog.Attached {
		t.Errorf("attached: %+v", result.Attachment)
	}
	if _, err := c.Remove(t.Context(), "a", catalog.RemoveOptions{}); err != nil {
		t.Error(err)
	}
}

// Accepting a loss vouches for no stranger: neither for what somebody published
// nor for what somebody removed.
func TestAcceptLossSignsNoStrangersWord(t *testing.T) {
	for _, what := range []string{"publication", "removal"} {
		t.Run(what, func(t *testing.T) {
			w, sign := newWorld(t, true, nil), team(t)
			ours := catalog.Options{Policy: trusting(t, sign), StateDir: t.TempDir()}
			stranger := w.open(catalog.Options{})
			image := w.push("team/image", "1", "1")
			w.publish(w.open(ours), image, catalog.PublishOptions{Name: "a", Version: "1", Sign: sign})
			if what == "publication" {
				w.publish(stranger, image, catalog.PublishOptions{Name: "a", Version: "evil"})
			} else if _, err := stranger.Remove(t.Context(), "a", catalog.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
			last := w.publish(w.open(ours), image, catalog.PublishOptions{Name: "a", Version: "2", Sign: sign})
			w.remove(last.Tag)
			event, err := w.open(ours).AcceptLoss(t.Context(), "a", catalog.AcceptLossOptions{Sign: sign})
			var refused *trust.Error
			if !errors.As(err, &refused) {
				t.Errorf("accepted: %+v, %v", event, err)
			}
		})
	}
}

// Where the policy only warns, a loss is reported like any other, and can be
// accepted.
func TestLossesUnderAPolicyThatWarns(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Warn: true, Keys: []*trust.PublicKey{sign.Signer.PublicKey()}})
	if err != nil {
		t.Fatal(err)
	}
	var warned []string
	options := catalog.Options{Policy: policy, StateDir: t.TempDir(), Warn: func(w catalog.Warning) { warned = append(warned, w.Err.Error()) }}
	image := w.push("team/image", "1", "1")
	w.publish(w.open(options), image, catalog.PublishOptions{Name: "a", Version: "1"})
	last := w.publish(w.open(options), image, catalog.PublishOptions{Name: "a", Version: "2"})
	w.remove(last.Tag)
	warned = nil
	if _, err := w.open(options).List(t.Context(), catalog.ListOptions{}); err != nil || !strings.Contains(fmt.Sprint(warned), last.Tag) {
		t.Errorf("list: %v, warnings %q, want the tag %s", err, warned, last.Tag)
	}
	if _, err := w.open(options).AcceptLoss(t.Context(), "a", catalog.AcceptLossOptions{}); err != nil {
		t.Error(err)
	}
}

// Without a policy, what is lost is called that.
func TestLossesWithoutAPolicy(t *testing.T) {
	w := newWorld(t, true, nil)
	options := catalog.Options{StateDir: t.TempDir()}
	for _, name := range []string{"a", "b"} {
		result := w.publish(w.open(options), w.push("team/"+name, "1", name), catalog.PublishOptions{Name: name})
		w.remove(result.Tag)
	}
	heads, err := w.open(options).Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lost *catalog.LostError
	if err = refusals(heads); !errors.As(err, &lost) || strings.Contains(err.Error(), "policy") || !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("heads: %v", err)
	}
	if _, err := w.open(options).Verify(t.Context(), "b", catalog.VerifyOptions{}); !errors.As(err, &lost) || lost.Name != "b" {
		t.Errorf("verify: %v", err)
	}
}

// What a reader knows to be gone is missed by every way of reading: by version, as
// of a time, and in the history; and not by a copy from another catalog.
func TestLossesAreMissedHoweverOneReads(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	var warned []string
	options := catalog.Options{
		Policy: trusting(t, sign), StateDir: t.TempDir(), Fresh: -1,
		Warn: func(w catalog.Warning) { warned = append(warned, w.Err.Error()) },
	}
	image := w.push("team/image", "1", "1")
	w.publish(w.open(options), image, catalog.PublishOptions{Name: "a", Version: "1", Sign: sign})
	w.publish(w.open(options), w.push("team/image", "2", "2"), catalog.PublishOptions{Name: "a", Version: "2", Sign: sign})
	removal, err := w.open(options).Remove(t.Context(), "a", catalog.RemoveOptions{Sign: sign})
	if err != nil {
		t.Fatal(err)
	}
	w.remove(removal.Event.Tag)
	c := w.open(options)
	after := removal.Event.At.Add(time.Millisecond)
	if _, err := c.Get(t.Context(), "a", catalog.GetOptions{Version: "2"}); !errors.Is(err, entry.ErrUntrusted) {
		t.Errorf("by version: %v", err)
	}
	if _, err := c.Get(t.Context(), "a", catalog.GetOptions{AsOf: after}); !errors.Is(err, entry.ErrUntrusted) {
		t.Errorf("as of a time: %v", err)
	}
	if page, err := c.List(t.Context(), catalog.ListOptions{AsOf: after}); err != nil || len(page.Items) > 0 || !errors.Is(refusals(page.Refused), entry.ErrUntrusted) {
		t.Errorf("listed as of a time: %d, %v", len(page.Items), err)
	}
	if _, err := c.Get(t.Context(), "a", catalog.GetOptions{AsOf: removal.Event.At.Add(-time.Millisecond)}); err != nil {
		t.Errorf("as of a time before: %v", err)
	}
	warned = nil
	if _, err := c.History(t.Context(), "a"); err != nil || !strings.Contains(fmt.Sprint(warned), removal.Event.Tag) {
		t.Errorf("history: %v, warnings %q, want the tag %s", err, warned, removal.Event.Tag)
	}
	// Publishing the image again moves on, although the entry says the same.
	result := w.publish(w.open(options), w.push("team/image", "2", "2"), catalog.PublishOptions{Name: "a", Version: "2", Sign: sign})
	if result.Outcome != catalog.Published {
		t.Errorf("published again: %s", result.Outcome)
	}
	if _, err := w.open(options).Get(t.Context(), "a", catalog.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// A copy from another catalog of the team, that the policy does not admit, leaves
// no loss behind.
func TestAForeignCopyIsNoLoss(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{sign.Signer.PublicKey()}, Origins: []string{w.host + "/team/catalog"}})
	if err != nil {
		t.Fatal(err)
	}
	options := catalog.Options{Policy: policy, StateDir: t.TempDir()}
	staging, err := catalog.Open(w.host+"/team/staging", catalog.Options{Registry: w.client})
	if err != nil {
		t.Fatal(err)
	}
	image := w.push("team/image", "1", "1")
	w.publish(w.open(options), image, catalog.PublishOptions{Name: "a", Version: "1", Sign: sign})
	copied := w.publish(staging, image, catalog.PublishOptions{Name: "a", Version: "copied", Sign: sign})
	w.copyTo(copied.Tag, "team/staging", "team/catalog")
	if _, err := w.open(options).Get(t.Context(), "a", catalog.GetOptions{}); !errors.Is(err, entry.ErrUntrusted) {
		t.Errorf("the copy: %v", err)
	}
	w.remove(copied.Tag)
	for range 2 {
		if item, err := w.open(options).Get(t.Context(), "a", catalog.GetOptions{}); err != nil || item.Version != "1" {
			t.Errorf("after the copy: %q, %v", item.Version, err)
		}
	}
}

// Without a policy, a key vouches only for what it signed before.
func TestAcceptLossWithAKeyAndNoPolicy(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	ours := catalog.Options{StateDir: t.TempDir()}
	image := w.push("team/image", "1", "1")
	for name, signed := range map[string]*catalog.Signing{"own": sign, "strange": nil} {
		w.publish(w.open(ours), image, catalog.PublishOptions{Name: name, Version: "1", Sign: signed, Move: true})
		last := w.publish(w.open(ours), image, catalog.PublishOptions{Name: name, Version: "2", Sign: sign, Move: true})
		w.remove(last.Tag)
		if _, err := w.open(ours).AcceptLoss(t.Context(), name, catalog.AcceptLossOptions{Sign: sign}); (err == nil) != (signed != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
