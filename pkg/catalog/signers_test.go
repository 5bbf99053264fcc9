package catalog_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// wanting is a policy that wants the signatures of so many of these.
func wanting(t *testing.T, threshold int, all ...*catalog.Signing) *trust.Policy {
	t.Helper()
	rule := &trust.Rule{Threshold: threshold}
	for _, s := range all {
		rule.Keys = append(rule.Keys, s.Signer.PublicKey())
	}
	policy, err := trust.NewPolicy(nil, nil, rule)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func signerNames(all []entry.Signer) (names []string) {
	for _, s := range all {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// An entry is verified once as many as are wanted have signed it, whoever
// published it and in whatever format; and who signed is listed, those who
// approved after the first look included.
func TestApprovals(t *testing.T) {
	for _, format := range []trust.Format{trust.Bundle, trust.Legacy} {
		w, build, qa, boss := newWorld(t, true, nil), team(t), team(t), team(t)
		qa.Format, boss.Format = format, format
		w.publish(w.fresh(catalog.Options{}), w.push("os/app", "1", "1"), catalog.PublishOptions{Sign: build})
		reader := w.fresh(catalog.Options{Policy: wanting(t, 2, build, qa, boss), Fresh: -1})
		get := func() (entry.Item, error) {
			return reader.Get(t.Context(), "app", catalog.GetOptions{Signers: true})
		}
		var refused *trust.Error
		if _, err := get(); !errors.As(err, &refused) || refused.Verdict != entry.VerdictUntrusted {
			t.Errorf("%s: signed by one: %v, want untrusted", format, err)
		}
		want := []string{build.Signer.PublicKey().String()}
		for _, approver := range []*catalog.Signing{qa, boss} {
			result, err := w.fresh(catalog.Options{}).Sign(t.Context(), "app", *approver)
			if err != nil || result.Signature.Outcome != catalog.Signed {
				t.Fatalf("%s: %+v, %v", format, result, err)
			}
			want = append(want, approver.Signer.PublicKey().String())
			slices.Sort(want)
			item, err := get()
			if err != nil || item.Verdict != entry.VerdictVerified || !slices.Equal(signerNames(item.Signers), want) {
				t.Errorf("%s: %s by %v, %v; want verified by %v", format, item.Verdict, signerNames(item.Signers), err, want)
			}
		}
		// What was found stands while the registry does not say more.
		known, err := reader.Get(t.Context(), "app", catalog.GetOptions{})
		if err != nil || len(known.Signers) < 2 {
			t.Errorf("%s: remembered %v, %v", format, signerNames(known.Signers), err)
		}
	}
}

// Who published may have signed in a snapshot alone, where the catalog was copied
// by a client without referrers, and who approves signs in the registry: the two
// count together, and neither alone.
func TestSignersInSnapshotAndRegistry(t *testing.T) {
	w, build, qa := newWorld(t, true, nil), team(t), team(t)
	writer := w.fresh(catalog.Options{})
	result := w.publish(writer, w.push("os/app", "1", "1"), catalog.PublishOptions{Sign: build, NoAttach: true})
	for i := range 31 {
		w.publish(writer, w.push("os/more", fmt.Sprint(i), fmt.Sprint(i)), catalog.PublishOptions{Name: fmt.Sprintf("m%d", i), Sign: build, NoAttach: true})
	}
	revision := digest.Digest(result.Item.Revision)
	referrers, err := w.catalogRepository().Referrers(t.Context(), ocispec.Descriptor{Digest: revision})
	if err != nil || len(referrers) != 1 {
		t.Fatalf("%d referrers, %v; want the signature", len(referrers), err)
	}
	w.forget("team/catalog", referrers[0].Digest)
	reading := func(options catalog.Options) catalog.Options { return options }
	verdict := func(policy *trust.Policy) (entry.Verdict, entry.Verdict) {
		c := w.fresh(reading(catalog.Options{Policy: policy}))
		item, err := c.Get(t.Context(), "app", catalog.GetOptions{})
		read := entry.Verdict(item.Verdict)
		var refused *trust.Error
		if errors.As(err, &refused) {
			read = refused.Verdict
		}
		v, _ := c.Verify(t.Context(), "app", catalog.VerifyOptions{})
		return read, v.Verdict
	}
	both := wanting(t, 2, build, qa)
	if read, verified := verdict(both); read == entry.VerdictVerified || verified == entry.VerdictVerified {
		t.Errorf("signed by one: %s, %s", read, verified)
	}
	if _, err := w.fresh(catalog.Options{}).Sign(t.Context(), "app", *qa); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if read, verified := verdict(both); read != entry.VerdictVerified || verified != entry.VerdictVerified {
			t.Errorf("signed by one in a snapshot and one in the registry: %s, %s; want verified", read, verified)
		}
		reading = catalog.ReadingHashes
	}
	if read, verified := verdict(wanting(t, 2, build, team(t))); read == entry.VerdictVerified || verified == entry.VerdictVerified {
		t.Errorf("signed by one and a stranger: %s, %s", read, verified)
	}
}
