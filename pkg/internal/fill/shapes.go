package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// shapes are the ways in which a catalog can be hostile. Each takes how many of
// its kind to write, and returns how many live entries that adds.
var shapes = map[string]func(c *catalog, ctx context.Context, count int) (more int, err error){
	"blanks":                    (*catalog).pushBlanks,
	"empty-lines":               (*catalog).pushEmptyLines,
	"manifests-that-are-none":   (*catalog).pushNoManifests,
	"revisions-that-never-were": (*catalog).pushNeverWritten,
	"flood":                     (*catalog).pushFlood,
	"large-entries":             (*catalog).pushLargeEntries,
	"large-records":             (*catalog).pushLargeRecords,
	"large-signatures":          (*catalog).pushLargeSignatures,
}

// firstMore is the number of the first entry that a shape writes or claims, after
// all that the catalog was filled with.
const firstMore = 100_000

func (c *catalog) pushBlanks(ctx context.Context, _ int) (int, error) { return 0, c.pushHuge(ctx, " ") }

func (c *catalog) pushEmptyLines(ctx context.Context, _ int) (int, error) {
	return 0, c.pushHuge(ctx, "\n")
}

// pushHuge pushes three snapshots whose 64 segments are one gigabyte of a text.
func (c *catalog) pushHuge(ctx context.Context, text string) error {
	s := newSegment()
	block := []byte(strings.Repeat(text, 1<<20))
	for range 1 << 10 {
		s.write(block)
	}
	blob, err := s.close()
	if err != nil {
		return err
	}
	segments := make([][]byte, 64)
	for i := range segments {
		segments[i] = blob
	}
	for i := range 3 {
		if err := c.pushSnapshot(ctx, time.Duration(i)*time.Second, segments...); err != nil {
			return err
		}
	}
	return nil
}

// pushNoManifests pushes a snapshot of texts that are no manifests.
func (c *catalog) pushNoManifests(ctx context.Context, count int) (int, error) {
	return 0, c.pushClaims(ctx, count, func(i int) (revision.Tag, []byte, error) {
		text := fmt.Appendf(nil, `{"n":%d}`, i)
		return revision.NewTag(fmt.Sprint("n", i), entry.NewTime(time.Now()), revision.OpPublish, digest.FromBytes(text)), text, nil
	})
}

// pushNeverWritten pushes a snapshot of revisions that are nowhere else.
func (c *catalog) pushNeverWritten(ctx context.Context, count int) (int, error) {
	return 0, c.pushClaims(ctx, count, func(i int) (revision.Tag, []byte, error) {
		packed, err := revision.Pack(document(firstMore+i, time.Now()), revision.Seen{})
		if err != nil {
			return revision.Tag{}, nil, err
		}
		return packed.Tag, packed.Manifest, nil
	})
}

// pushClaims pushes a snapshot of records of what is nowhere else.
func (c *catalog) pushClaims(ctx context.Context, count int, claim func(i int) (revision.Tag, []byte, error)) error {
	s := newSegment()
	for i := range count {
		tag, manifest, err := claim(i)
		if err != nil {
			return err
		}
		s.record(tag, manifest, "")
	}
	blob, err := s.close()
	if err != nil {
		return err
	}
	return c.pushSnapshot(ctx, time.Minute, blob)
}

// pushFlood pushes tags of one name that hold no revision.
func (c *catalog) pushFlood(ctx context.Context, count int) (int, error) {
	config := ocispec.DescriptorEmptyJSON
	if err := c.repository.PushBlob(ctx, config, config.Data); err != nil {
		return 0, err
	}
	config.Data = nil
	junk, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []any{}})
	if err != nil {
		return 0, err
	}
	for i := range count {
		tag := revision.NewTag(name(0), entry.NewTime(time.Now()), revision.OpPublish, digest.FromString(fmt.Sprint(i)))
		if err := c.repository.PushManifest(ctx, describe(junk), junk, tag.String()); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// pushLargeEntries publishes entries of 130 KB that do not compress, with a
// snapshot.
func (c *catalog) pushLargeEntries(ctx context.Context, count int) (int, error) {
	noise := make([]byte, 768)
	for i := range count {
		d := document(firstMore+i, time.Now())
		d.Labels = map[string]string{}
		for n := range 125 {
			_, _ = rand.Read(noise) // never fails
			d.Labels[fmt.Sprint("label-", n)] = base64.RawURLEncoding.EncodeToString(noise)
		}
		if err := c.append(ctx, d); err != nil {
			return i, err
		}
	}
	_, err := c.compact(ctx)
	return count, err
}

// pushLargeRecords pushes a snapshot of valid records that are almost as large as
// readers accept them.
func (c *catalog) pushLargeRecords(ctx context.Context, _ int) (int, error) {
	more := `"more":"` + strings.Repeat("x", 9<<20) + `"`
	return 0, c.pushRecords(ctx, 2, func(int) string { return more })
}

// pushLargeSignatures publishes entries, and pushes a snapshot of valid records
// that have as many signatures as are retained of one revision.
func (c *catalog) pushLargeSignatures(ctx context.Context, count int) (int, error) {
	for i := range count {
		if err := c.append(ctx, document(firstMore+i, time.Now())); err != nil {
			return i, err
		}
	}
	text := strings.Repeat("x", 16<<10-32)
	return count, c.pushRecords(ctx, 1, func(i int) string {
		signatures := make([]string, 32)
		for n := range signatures {
			signatures[n] = fmt.Sprintf(`"%d %d %s"`, i, n, text)
		}
		return `"signatures":[` + strings.Join(signatures, ",") + `]`
	})
}

// pushRecords pushes a snapshot that has a record of each revision in each of its
// segments, with more members.
func (c *catalog) pushRecords(ctx context.Context, segments int, more func(i int) string) error {
	listed, err := c.repository.Tags(ctx)
	if err != nil {
		return err
	}
	tags, _ := revision.ParseTags(listed)
	open := make([]*segment, segments)
	for n := range open {
		open[n] = newSegment()
	}
	for i, tag := range tags {
		_, manifest, err := c.repository.Manifest(ctx, tag.String())
		if err != nil {
			return err
		}
		members := more(i)
		for n, s := range open {
			s.record(tag, manifest, fmt.Sprintf(`,"segment":%d,%s`, n, members))
		}
	}
	blobs := make([][]byte, segments)
	for n, s := range open {
		if blobs[n], err = s.close(); err != nil {
			return err
		}
	}
	return c.pushSnapshot(ctx, time.Minute, blobs...)
}
