package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// refusedUnsigned checks that a change was refused because nobody was to sign it,
// and that nothing was written.
func refusedUnsigned(t *testing.T, what, name string, requests []string, err error) {
	t.Helper()
	var refused *catalog.UnsignedError
	if !errors.As(err, &refused) || refused.Name != name || !errors.Is(err, entry.ErrUntrusted) || len(writes(requests)) > 0 {
		t.Errorf("%s: %v, wrote %v; want a refusal about %s, and nothing written", what, err, writes(requests), name)
	}
}

// What the policy of the writer would refuse is not written unsigned, unless that
// is meant.
func TestUnsignedUnderAPolicy(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	c := w.open(catalog.Options{Policy: trusting(t, sign)})
	image := w.push("team/image", "1", "1")
	change := func(options catalog.PublishOptions) (result catalog.PublishResult, requests []string, err error) {
		requests = w.counter.during(func() { result, err = c.Publish(t.Context(), image, options) })
		return result, requests, err
	}
	_, requests, err := change(catalog.PublishOptions{Name: "a"})
	refusedUnsigned(t, "publish", "a", requests, err)
	_, requests, err = change(catalog.PublishOptions{Name: "a", DryRun: true})
	refusedUnsigned(t, "a dry run", "a", requests, err)
	requests = w.counter.during(func() { _, err = c.Add(t.Context(), "a", image, catalog.PublishOptions{}) })
	refusedUnsigned(t, "add", "a", requests, err)
	first := w.publish(c, image, catalog.PublishOptions{Name: "a", Unsigned: true})
	if !strings.Contains(warningText(first.Warnings), "not signed") {
		t.Errorf("warnings %v", first.Warnings)
	}
	if again := w.publish(c, image, catalog.PublishOptions{Name: "a"}); again.Outcome != catalog.Unchanged {
		t.Errorf("published again: %s, want unchanged", again.Outcome)
	}
	if signed := w.publish(c, image, catalog.PublishOptions{Name: "a", Sign: sign}); signed.Outcome != catalog.Published {
		t.Errorf("published with a signature: %s, want a revision of its own", signed.Outcome)
	}
	_, requests, err = change(catalog.PublishOptions{Name: "a", Version: "2"})
	refusedUnsigned(t, "a new version", "a", requests, err)
	requests = w.counter.during(func() { _, err = c.Remove(t.Context(), "a", catalog.RemoveOptions{}) })
	refusedUnsigned(t, "remove", "a", requests, err)
	removed, err := c.Remove(t.Context(), "a", catalog.RemoveOptions{Unsigned: true})
	if err != nil || !strings.Contains(warningText(removed.Warnings), "not signed") {
		t.Errorf("remove with Unsigned: %v, %v, want a warning", removed.Warnings, err)
	}
}

// Moving an image ends the entry that had it: that is a change too.
func TestUnsignedMove(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	keys := []*trust.PublicKey{sign.Signer.PublicKey()}
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Name: "prod-*", Keys: keys}, &trust.Rule{Name: "dev-*", Keys: keys, Warn: true})
	if err != nil {
		t.Fatal(err)
	}
	c := w.open(catalog.Options{Policy: policy})
	image := w.push("team/image", "1", "1")
	w.publish(c, image, catalog.PublishOptions{Name: "prod-a", Sign: sign})
	requests := w.counter.during(func() {
		_, err = c.Publish(t.Context(), image, catalog.PublishOptions{Name: "dev-a", Move: true})
	})
	refusedUnsigned(t, "move", "prod-a", requests, err)
	// A rule that warns lets an unsigned change through, and says so of a name that was signed.
	w.publish(c, image, catalog.PublishOptions{Name: "dev-a", Move: true, Sign: sign})
	result := w.publish(c, image, catalog.PublishOptions{Name: "dev-a", Version: "2"})
	if text := warningText(result.Warnings); !strings.Contains(text, "verified") {
		t.Errorf("warnings %s, want one about what was verified", text)
	}
	if result := w.publish(c, w.push("team/other", "1", "2"), catalog.PublishOptions{Name: "dev-b"}); len(result.Warnings) > 0 {
		t.Errorf("a new name: warnings %v, want none", result.Warnings)
	}
}

// Where only the image must be signed, an entry need not be, and a removal must.
func TestUnsignedEntryOfASignedImage(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	sign.Image = true
	image := w.push("team/image", "1", "1")
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Require: []trust.Subject{trust.SubjectImage}, Keys: []*trust.PublicKey{sign.Signer.PublicKey()}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.open(catalog.Options{Policy: policy})
	requests := w.counter.during(func() { _, err = c.Publish(t.Context(), image, catalog.PublishOptions{Name: "a"}) })
	refusedUnsigned(t, "an image that nobody signed", "a", requests, err)
	w.publish(c, image, catalog.PublishOptions{Name: "a", Sign: sign})
	if result := w.publish(c, image, catalog.PublishOptions{Name: "a", Version: "2"}); len(result.Warnings) > 0 {
		t.Errorf("warnings %v, want none", result.Warnings)
	}
	requests = w.counter.during(func() { _, err = c.Remove(t.Context(), "a", catalog.RemoveOptions{}) })
	refusedUnsigned(t, "remove", "a", requests, err)
}

// Without a policy nothing is refused: where what stands is signed, there is a
// warning, and it costs one request at most.
func TestUnsignedWithoutAPolicy(t *testing.T) {
	for _, tt := range []struct {
		referrers bool
		format    trust.Format
	}{{true, trust.Bundle}, {false, trust.Bundle}, {true, trust.Legacy}, {false, trust.Legacy}} {
		w, sign := newWorld(t, tt.referrers, nil), team(t)
		sign.Format = tt.format
		image := w.push("team/image", "1", "1")
		w.publish(w.fresh(catalog.Options{}), image, catalog.PublishOptions{Name: "signed", Sign: sign})
		w.publish(w.fresh(catalog.Options{}), w.push("team/bare", "1", "2"), catalog.PublishOptions{Name: "bare"})
		for name, want := range map[string]bool{"signed": true, "bare": false} {
			reference := strings.Replace(image, "image", map[string]string{"signed": "image", "bare": "bare"}[name], 1)
			result := w.publish(w.fresh(catalog.Options{}), reference, catalog.PublishOptions{Name: name, Version: "2"})
			if got := strings.Contains(warningText(result.Warnings), "is signed, and this is not"); got != want {
				t.Errorf("%v: publish %s: warnings %v, want one: %t", tt, name, result.Warnings, want)
			}
			w.publish(w.fresh(catalog.Options{}), reference, catalog.PublishOptions{Name: name, Version: "3", Sign: map[bool]*catalog.Signing{true: sign}[want]})
			removed, err := w.fresh(catalog.Options{}).Remove(t.Context(), name, catalog.RemoveOptions{})
			if got := strings.Contains(warningText(removed.Warnings), "is signed, and this is not"); got != want || err != nil {
				t.Errorf("%v: remove %s: warnings %v, %v, want one: %t", tt, name, removed.Warnings, err, want)
			}
		}
	}
}

// Who signs with a key that the policy does not name, or alone where two are
// wanted, is told at once what readers will say.
func TestSignedAndStillRefused(t *testing.T) {
	w, sign, other := newWorld(t, true, nil), team(t), team(t)
	both, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{sign.Signer.PublicKey(), other.Signer.PublicKey()}, All: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		policy *trust.Policy
		want   string
	}{
		"named":    {trusting(t, sign), ""},
		"stranger": {trusting(t, other), "still refuses it: signed with none of the keys"},
		"one":      {both, "still refuses it: signed by 1 of the 2"},
	} {
		result := w.publish(w.fresh(catalog.Options{Policy: tt.policy}), w.push("team/"+name, "1", "1"), catalog.PublishOptions{Name: name, Sign: sign})
		if got := warningText(result.Warnings); strings.Contains(got, "still refuses it") != (tt.want != "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: warnings %s, want %q", name, got, tt.want)
		}
	}
}
