package catalog

import (
	"context"
	"fmt"
)

// move ends the entries that had the image under other names. They go last: a
// crash in between leaves the image under both names, and moving it again ends
// the rest.
func (p *publication) move(ctx context.Context) error {
	for _, revision := range p.elsewhere {
		removal, err := p.catalog.end(ctx, p.view, revision, RemoveOptions{Reason: "moved to " + p.name, Author: p.options.Author, Sign: p.options.Sign})
		if err != nil {
			return fmt.Errorf("%s is published, but %s is not ended: %w", p.name, revision.Document.Name, err)
		}
		if p.options.NoAttach {
			continue
		}
		var told RemoveResult
		p.catalog.attachRemoval(ctx, revision, removal, p.options.Sign, &told)
		for _, step := range []*Step{&told.Attachment, told.SignatureAttachment} {
			if step != nil && step.Reason != "" {
				p.warn(WarnImage, "the image does not tell that %s is ended: %s: %s", revision.Document.Name, step.Outcome, step.Reason)
			}
		}
	}
	return nil
}
