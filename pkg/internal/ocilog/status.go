package ocilog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

const (
	maxStatuses    = 64 << 20 // bytes of a status layer, decompressed
	maxStatusLine  = 64 << 10
	tryStatuses    = 2 // status artifacts, newest first, until one is whole
	retainStatuses = 3 // that pruning leaves: readers may be at the older ones
)

// Statuses is what one status artifact says, by entry name. It is read-only.
type Statuses struct {
	Tag    revision.Tag // zero where there is no status artifact
	ByName map[string]*entry.Status
}

// Statuses returns what the newest readable status artifact says (SPEC section
// 17). It is beside the log: one that cannot be read is a warning of the view,
// and none at all is an empty answer. What was read before costs no request.
func (v *View) Statuses(ctx context.Context) Statuses {
	for i := range min(len(v.statuses), tryStatuses) {
		tag := v.statuses[len(v.statuses)-1-i]
		found, err := v.log.readStatuses(ctx, tag)
		if err == nil {
			return found
		}
		v.notices.add(tag.String(), fmt.Errorf("status %s is not read: %w", tag, err))
	}
	return Statuses{}
}

func (l *Log) readStatuses(ctx context.Context, tag revision.Tag) (Statuses, error) {
	l.known.mu.Lock()
	known := l.statuses
	l.known.mu.Unlock()
	if known.Tag == tag {
		return known, nil
	}
	manifest, _, blob, err := l.fetchStatuses(ctx, tag)
	if err != nil {
		return Statuses{}, err
	}
	found := Statuses{Tag: tag}
	if found.ByName, err = decodeStatuses(blob); err != nil {
		return Statuses{}, err
	}
	l.statusCache.write(manifest)
	l.setStatuses(found)
	return found, nil
}

// fetchStatuses returns a status artifact: its manifest, and its one layer.
func (l *Log) fetchStatuses(ctx context.Context, tag revision.Tag) (manifest []byte, layer ocispec.Descriptor, blob []byte, err error) {
	manifest, ok := l.statusCache.read()
	if !ok || !tag.Names(digest.FromBytes(manifest)) {
		if _, manifest, err = l.target.Manifest(ctx, tag.String()); err != nil {
			return nil, layer, nil, err
		}
		if sum := digest.FromBytes(manifest); !tag.Names(sum) {
			return nil, layer, nil, fmt.Errorf("%w: the manifest's digest is %s", entry.ErrMalformed, sum)
		}
	}
	var parsed ocispec.Manifest
	if err := json.Unmarshal(manifest, &parsed); err != nil {
		return nil, layer, nil, fmt.Errorf("%w: %v", entry.ErrMalformed, err)
	}
	if parsed.ArtifactType != revision.MediaTypeStatus || len(parsed.Layers) != 1 || parsed.Layers[0].MediaType != revision.MediaTypeStatuses {
		return nil, layer, nil, fmt.Errorf("%w: want artifact type %s with one layer", entry.ErrMalformed, revision.MediaTypeStatus)
	}
	blob, err = l.target.Blob(ctx, parsed.Layers[0])
	return manifest, parsed.Layers[0], blob, err
}

func (l *Log) setStatuses(read Statuses) {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if l.statuses.Tag == (revision.Tag{}) || l.statuses.Tag.Compare(read.Tag) < 0 {
		l.statuses = read
	}
}

// WriteStatuses writes a status artifact under a tag of its own that is newer
// than those of the view, and deletes old ones where the target lets it.
func (l *Log) WriteStatuses(ctx context.Context, view *View, statuses []*entry.Status) (Statuses, error) {
	blob, err := encodeStatuses(statuses)
	if err != nil {
		return Statuses{}, err
	}
	at := revision.NextTime(l.options.Now(), revision.StatusName, view.statuses)
	layer := ocispec.Descriptor{MediaType: revision.MediaTypeStatuses, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: revision.MediaTypeStatus, Config: config, Layers: []ocispec.Descriptor{layer},
		Annotations: map[string]string{ocispec.AnnotationCreated: at.String()}, // no two are one manifest
	}, json.Deterministic(true))
	if err != nil {
		return Statuses{}, err
	}
	descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	written := Statuses{Tag: revision.StatusTag(at, descriptor.Digest), ByName: make(map[string]*entry.Status, len(statuses))}
	for _, s := range statuses {
		written.ByName[s.Name] = s
	}
	err = errors.Join(
		l.target.PushBlob(ctx, config, ocispec.DescriptorEmptyJSON.Data),
		l.target.PushBlob(ctx, layer, blob))
	if err == nil {
		err = l.target.PushManifest(ctx, descriptor, manifest, written.Tag.String())
	}
	if err != nil {
		return Statuses{}, fmt.Errorf("write the status: %w", err)
	}
	l.statusCache.write(manifest)
	l.setStatuses(written)
	l.prune(ctx, view)
	return written, nil
}

// prune deletes the status artifacts of the view but the newest. A registry
// that does not delete has them for good; nothing depends on it.
func (l *Log) prune(ctx context.Context, view *View) {
	for _, tag := range view.statuses[:max(0, len(view.statuses)-retainStatuses+1)] {
		if l.target.Delete(ctx, tag.String()) != nil {
			return
		}
	}
}

func encodeStatuses(statuses []*entry.Status) ([]byte, error) {
	writer, err := newSegmentWriter()
	if err != nil {
		return nil, err
	}
	for _, s := range statuses {
		text, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		if err := writer.add(text); err != nil {
			return nil, err
		}
	}
	return writer.finish()
}

// decodeStatuses reads a status layer. A line that is no status is skipped: a
// later version may have other ones.
func decodeStatuses(blob []byte) (map[string]*entry.Status, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(blob),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStatuses))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	found := map[string]*entry.Status{}
	scanner := bufio.NewScanner(decoder)
	scanner.Buffer(nil, maxStatusLine)
	for read := 0; scanner.Scan(); {
		if read += len(scanner.Bytes()); read > maxStatuses {
			return nil, fmt.Errorf("%w: a status layer longer than %d bytes", entry.ErrMalformed, maxStatuses)
		}
		s := new(entry.Status)
		if json.Unmarshal(scanner.Bytes(), s) == nil && revision.CheckStatus(s) == nil {
			found[s.Name] = s
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%w: status layer: %v", entry.ErrMalformed, err)
	}
	return found, nil
}
