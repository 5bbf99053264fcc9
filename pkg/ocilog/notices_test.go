package ocilog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// However many tags and names hold no revision, what is said of them has a
// bound, and names all there are.
func TestManyBogusTagsAreFewLines(t *testing.T) {
	for _, tt := range []struct {
		names, tags int // tags of each name
		lines       int
		says        string
	}{
		{1, 1, 1, "ignored: invalid: tag name-00.0mm7p6yo0.p"},
		{1, 3, 3, "ignored: invalid: tag name-00.0mm7p6yo0.p"},
		{1, 300, 1, "ignored: 300 tags of name-00 hold no revision; delete them, from name-00."},
		{20, 1, 20, "tag name-19.0mm7p6yo0.p"},
		{21, 1, 21, "ignored: no revision in 1 tag of 1 name more"},
		{90, 5, 21, "ignored: no revision in 350 tags of 70 names more"},
	} {
		t.Run(fmt.Sprintf("%d names of %d", tt.names, tt.tags), func(t *testing.T) {
			v := &View{none: map[entry.Tag]error{}}
			for name := range tt.names {
				for i := range tt.tags {
					tag := entry.NewTag(fmt.Sprintf("name-%02d", name), entry.NewTime(epoch), entry.OpPublish, digest.FromString(fmt.Sprint(name, i)))
					v.notRevision(tag, fmt.Errorf("%w: tag %s", entry.ErrInvalid, tag))
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
