package ocilog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// However many tags and names hold no revision, what is said of them has a
// bound, and names all there are.
func TestManyBogusTagsAreFewLines(t *testing.T) {
	for _, tt := range []struct {
		names, tags int // tags of each name
		lines       int
		says        string
	}{
		{1, 1, 1, "ignored: malformed: tag name-00.0mm7p6yo0.p"},
		{1, 3, 3, "ignored: malformed: tag name-00.0mm7p6yo0.p"},
		{1, 300, 1, "ignored: 300 tags of name-00 hold no revision; delete them, from name-00."},
		{20, 1, 20, "tag name-19.0mm7p6yo0.p"},
		{21, 1, 21, "ignored: no revision in 1 tag of 1 name more"},
		{90, 5, 21, "ignored: no revision in 350 tags of 70 names more"},
	} {
		t.Run(fmt.Sprintf("%d names of %d", tt.names, tt.tags), func(t *testing.T) {
			v := (&Log{}).emptyView()
			for name := range tt.names {
				for i := range tt.tags {
					tag := revision.NewTag(fmt.Sprintf("name-%02d", name), entry.NewTime(epoch), revision.OpPublish, digest.FromString(fmt.Sprint(name, i)))
					v.notRevision(tag, fmt.Errorf("%w: tag %s", entry.ErrMalformed, tag))
				}
			}
			var said []string
			for _, warning := range v.Warnings() {
				said = append(said, warning.Error())
			}
			if text := strings.Join(said, "\n"); len(said) != tt.lines || !strings.Contains(text, tt.says) {
				t.Errorf("%d lines, want %d with %q:\n%s", len(said), tt.lines, tt.says, text)
			}
		})
	}
}

// Tags that hold nothing, under 100,000 names, are asked for by their names one
// after the other: if each look went through all of them, this would not end.
func TestManyNamesThatHoldNothing(t *testing.T) {
	v := (&Log{}).emptyView()
	for i := range 100_000 {
		name := fmt.Sprintf("name-%d", i)
		v.notRevision(revision.NewTag(name, entry.NewTime(epoch), revision.OpPublish, digest.FromString(name)), entry.ErrMalformed)
	}
	found := 0
	testwait.Return(t, "what each name's tags hold", func() {
		for _, name := range v.UnreadableNames() {
			found += len(v.Unreadable(name, revision.Tag{}, time.Time{})) + len(v.Vanished(t.Context(), name, revision.Tag{}, time.Time{}))
		}
	})
	if found != 100_000 {
		t.Errorf("%d tags, want 100,000", found)
	}
}
