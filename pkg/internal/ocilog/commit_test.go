package ocilog

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// trusting is a policy that verifies everything, or nothing.
func trusting(all bool) func(context.Context, *revision.Revision) bool {
	return func(context.Context, *revision.Revision) bool { return all }
}

// The tag commits: a revision is signed while no reader sees it.
func TestTheTagComesLast(t *testing.T) {
	target := newMemory()
	packed := publication(t, "a", epoch, "1")
	var steps []string
	target.failOn = func(operation, reference string) error {
		if operation == "push manifest" {
			steps = append(steps, reference)
		}
		return nil
	}
	err := newLog(target, "log", Options{}).Append(t.Context(), packed, func(context.Context) error {
		if names, _ := live(t, newLog(target, "reader", Options{})); len(names) > 0 {
			t.Errorf("%v is live before it is signed", names)
		}
		steps = append(steps, "sign")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{packed.Descriptor.Digest.String(), "sign", packed.Tag.String()}, steps); diff != "" {
		t.Error(diff)
	}
}

// A crash at any step leaves no revision, or a whole and signed one, and the
// publication can be repeated.
func TestACrashLeavesNothingOrAll(t *testing.T) {
	errCrash := errors.New("crashed")
	for _, remove := range []bool{false, true} {
		for at := 0; ; at++ {
			target := newMemory()
			packed := publication(t, "a", epoch, "1")
			if remove {
				appendAll(t, newLog(target, "log", Options{}), packed)
				packed = removal(t, "a", epoch.Add(time.Second))
			}
			signed, step := false, 0
			crash := func() error {
				if step++; step > at {
					return errCrash
				}
				return nil
			}
			target.failOn = func(string, string) error { return crash() }
			sign := func(context.Context) error {
				err := crash()
				signed = err == nil
				return err
			}
			err := newLog(target, "log", Options{}).Append(t.Context(), packed, sign)
			target.failOn = nil
			_, there := target.tags[packed.Tag.String()]
			if there && !signed {
				t.Fatalf("after %d steps there is a revision that is not signed", at)
			}
			if err == nil {
				if !there || at < 5 {
					t.Errorf("it is done after %d steps: %t", at, there)
				}
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("after %d steps: %v", at, err)
			}
			if err := newLog(target, "log", Options{}).Append(t.Context(), packed, func(context.Context) error { return nil }); err != nil {
				t.Errorf("repeated after %d steps: %v", at, err)
			}
			if names, _ := live(t, newLog(target, "reader", Options{})); len(names) == 0 != remove {
				t.Errorf("repeated after %d steps: %v is live", at, names)
			}
		}
	}
}

// What is not signed as it was asked for is not published.
func TestWithoutASignatureNothingIsPublished(t *testing.T) {
	target := newMemory()
	refused := fmt.Errorf("no key: %w", entry.ErrUnauthorized)
	err := newLog(target, "log", Options{}).Append(t.Context(), publication(t, "a", epoch, "1"), func(context.Context) error { return refused })
	if !errors.Is(err, entry.ErrUnauthorized) || len(target.tags) > 0 {
		t.Errorf("%v, tags %v", err, target.tags)
	}
}
