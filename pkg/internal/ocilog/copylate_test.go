package ocilog

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A head that was signed after it was copied is passed on with what the destination
// lacks, once.
func TestLateSignaturesAreCopied(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, &clock{}, 40)
	mustCopy(t, from, to, CopyOptions{})
	signer := newLog(from, "from", Options{})
	view, err := signer.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := view.Head(t.Context(), "entry-0003", epoch.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	signer.AddSignatures(t.Context(), head.Tag, []byte(`{"late":1}`))
	late := func() (passed []string) {
		view, err := signer.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		target := newLog(to, "to", Options{})
		_, err = Copy(t.Context(), view, target, CopyOptions{Late: func(ctx context.Context, item *CopyItem) error {
			passed = append(passed, fmt.Sprint(item.Revision.Tag.Name, " ", item.Signatures))
			target.AddSignatures(ctx, item.Revision.Tag, item.Signatures[0])
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return passed
	}
	if diff := cmp.Diff([]string{`entry-0003 [{"late":1}]`}, late()); diff != "" {
		t.Errorf("passed on: %s", diff)
	}
}
