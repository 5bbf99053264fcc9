package ocilog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Much that is missing at once is no answer of a registry that has the catalog.
func TestMuchThatIsMissingIsNoAnswer(t *testing.T) {
	for _, tt := range []struct {
		known, gone int
		want        error
	}{
		{44, 28, entry.ErrUnreachable},
		{44, 44, entry.ErrUnreachable},
		{44, 3, nil},
		{44, 4, entry.ErrUnreachable},
		{100, 5, nil},
		{100, 6, entry.ErrUnreachable},
		{3, 3, nil},
		{4, 4, entry.ErrUnreachable},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.gone, tt.known), func(t *testing.T) {
			target, c := newMemory(), &clock{}
			options := Options{State: NewState(t.TempDir())}
			fill(t, target, c, tt.known)
			if _, _, _, err := read(t, target, options); err != nil {
				t.Fatal(err)
			}
			for tag := range target.tags {
				var n int
				if _, err := fmt.Sscanf(tag, "entry-%04d.", &n); err == nil && n < tt.gone || strings.HasPrefix(tag, "_") {
					delete(target.tags, tag)
				}
			}
			for _, reading := range []string{"first", "second"} {
				_, vanished, _, err := read(t, target, options)
				var missing *MissingError
				if !errors.Is(err, tt.want) || tt.want != nil && (!errors.As(err, &missing) || missing.Missing != tt.gone || missing.Known != tt.known) {
					t.Errorf("the %s reading: %v, want %v", reading, err, tt.want)
				}
				if tt.want == nil && len(vanished) != tt.gone {
					t.Errorf("the %s reading: %d vanished, want %d", reading, len(vanished), tt.gone)
				}
			}
			// A reader of one name is told the same.
			view, err := newLog(target, "log", options).Read(t.Context(), "entry-0043")
			if !errors.Is(err, tt.want) {
				t.Errorf("reading one name: %v, %v", view, err)
			}
		})
	}
}

// Under a policy, what strangers publish and delete is no part of what is missing:
// it neither makes a reader refuse the registry's answer, nor believe it.
func TestStrangersMakeNothingMissing(t *testing.T) {
	for _, tt := range []struct {
		name            string
		own, strangers  int // that are there
		gone, withdrawn int // of them
		want            error
	}{
		{"many of strangers' are gone", 10, 100, 0, 100, nil},
		{"few are gone beside many of strangers'", 10, 200, 4, 0, entry.ErrUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			var own, strange []revision.Tag
			publish := func(tags *[]revision.Tag, name string, count int) {
				for i := range count {
					packed := publication(t, fmt.Sprintf("%s-%03d", name, i), c.Now(), "1")
					appendAll(t, newLog(target, "writer", Options{}), packed)
					*tags = append(*tags, packed.Tag)
				}
			}
			publish(&own, "own", tt.own)
			publish(&strange, "strange", tt.strangers)
			options := Options{
				State:              NewState(t.TempDir()),
				HasEntrySignatures: func(_ context.Context, r *revision.Revision) bool { return strings.HasPrefix(r.Tag.Name, "own-") },
			}
			log := newLog(target, "log", options)
			live(t, log)
			log.Confirm(own...)
			if err := log.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			target.delete(own[:tt.gone]...)
			target.delete(strange[:tt.withdrawn]...)
			for _, reading := range []string{"first", "second"} {
				_, _, _, err := read(t, target, options)
				var missing *MissingError
				if !errors.Is(err, tt.want) || tt.want != nil && (!errors.As(err, &missing) || missing.Missing != tt.gone || missing.Known != tt.own) {
					t.Errorf("the %s reading: %v, want %v", reading, err, tt.want)
				}
			}
		})
	}
}

// A reader that is told to forget believes what it is shown from then on.
func TestForget(t *testing.T) {
	for _, name := range []string{"a", ""} {
		t.Run("name "+name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			options := Options{State: NewState(t.TempDir()), Cache: NewCache(t.TempDir(), 0), Now: c.Now}
			a, b := publication(t, "a", c.Now(), "1"), publication(t, "b", c.Now(), "1")
			appendAll(t, newLog(target, "writer", Options{}), a, b)
			if _, _, _, err := read(t, target, options); err != nil {
				t.Fatal(err)
			}
			target.delete(a.Tag, b.Tag)
			if _, vanished, _, err := read(t, target, options); err != nil || len(vanished) != 2 {
				t.Fatalf("%v, %v", vanished, err)
			}
			if err := newLog(target, "log", options).Forget(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			want := 0
			if name != "" {
				want = 1
			}
			if _, vanished, _, err := read(t, target, options); err != nil || len(vanished) != want {
				t.Errorf("vanished %v, want %d; %v", vanished, want, err)
			}
		})
	}
}
