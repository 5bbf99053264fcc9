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
		_, err := p.catalog.end(ctx, p.view, revision, RemoveOptions{Reason: "moved to " + p.name, Author: p.options.Author, Sign: p.options.Sign})
		if err != nil {
			return fmt.Errorf("%s is published, but %s is not ended: %w", p.name, revision.Document.Name, err)
		}
	}
	return nil
}
