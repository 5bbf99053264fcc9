package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/internal/place"
	"github.com/oci-catalog/caib/pkg/internal/unpack"
	"github.com/oci-catalog/caib/pkg/registry"
)

// pull writes what options select of an item.
func pull(ctx context.Context, open func(registry.Reference) (registry.Repository, error), item *entry.Item, options PullOptions) (PullResult, error) {
	p, err := newPuller(ctx, open, item, options)
	if err != nil {
		return PullResult{}, err
	}
	return p.run(ctx)
}

func (p *puller) run(ctx context.Context) (PullResult, error) {
	result := PullResult{Name: p.item.Name, Version: p.item.Version, Revision: p.item.Revision, Verdict: p.item.Verdict, Files: []PulledFile{}}
	if c := p.container; c != nil {
		start := time.Now()
		file := PulledFile{Title: p.item.Name, Digest: c.manifests[0].Descriptor.Digest, SizeBytes: c.size, Place: c.place}
		err := p.runContainer(ctx, &file)
		file.Seconds, file.Place = time.Since(start).Seconds(), c.answered()
		if err == nil || file.Part != "" {
			result.Files = append(result.Files, file)
		}
		if err != nil {
			return result, fmt.Errorf("pull entry %q: %w", p.item.Name, err)
		}
	}
	for _, job := range p.jobs {
		start := time.Now()
		file := PulledFile{
			Title: job.artifact.Title, Partition: job.artifact.Partition, Digest: job.artifact.Digest,
			SizeBytes: job.descriptor.Size, Place: job.place,
		}
		err := p.file(ctx, job, &file)
		file.Seconds, file.Place = time.Since(start).Seconds(), job.answered()
		if err == nil || file.Part != "" || file.Unfinished != "" {
			result.Files = append(result.Files, file)
		}
		if err != nil {
			return result, fmt.Errorf("pull %s of entry %q: %w", p.describe(&job.artifact), p.item.Name, err)
		}
	}
	result.ReferenceNow = p.moved(ctx)
	return result, nil
}

// file pulls one file.
func (p *puller) file(ctx context.Context, job *pullJob, pulled *PulledFile) (err error) {
	if limit := p.options.MaxSize; limit > 0 && max(job.descriptor.Size, job.artifact.DecompressedSize) > limit {
		return fmt.Errorf("%w: it has %d bytes, and %d are allowed", entry.ErrMalformed, max(job.descriptor.Size, job.artifact.DecompressedSize), limit)
	}
	if job.dir != "" {
		return p.writeMembers(ctx, job, pulled)
	}
	if err := p.readBmap(ctx, job, pulled); err != nil {
		return err
	}
	if job.path == "" {
		pulled.Bytes, err = p.streamCached(ctx, job, &output{to: p.options.Out}, nil, pulled)
		return job.fromPlace(err)
	}
	if job.device != nil {
		return p.writeDevice(ctx, job, pulled)
	}
	if err := p.mappedRoom(job); err != nil {
		return err
	}
	target, err := place.Begin(job.path, job.descriptor.Digest.String(), job.descriptor.Size, p.options.Force)
	if err != nil {
		return err
	}
	var to io.Writer = io.Discard // what is stored is the file
	if p.unpacks(job) {
		if to, err = target.Unpacked(); err != nil {
			target.Leave(true)
			return err
		}
	}
	pulled.Bytes, err = p.intoFile(ctx, job, target, to, pulled)
	if err == nil {
		err = target.Commit()
	}
	if err != nil {
		if target.Leave(!isWrong(err) && !errors.Is(err, ErrSeveral)) {
			pulled.Part = job.path + place.Suffix
		}
		return err
	}
	pulled.File = job.path
	return nil
}

// intoFile fetches a file, and writes what is in it.
func (p *puller) intoFile(ctx context.Context, job *pullJob, target attempts, to io.Writer, pulled *PulledFile) (written int64, err error) {
	err = job.untilRight(ctx, target, func(options fetch.Options) (err error) {
		options.Progress = p.fetching(job, options.BegunSize).Progress
		pulled.Resumed = options.BegunSize
		written, err = p.stream(ctx, job, options, to)
		return err
	})
	return written, err
}

// unpacks reports whether a file is written otherwise than it is stored.
func (p *puller) unpacks(job *pullJob) bool {
	return (job.artifact.Compression != "" || isSparse(job) || isTar(job)) && !p.options.KeepCompressed
}

// isSparse reports whether a file is one of Android's sparse images.
func isSparse(job *pullJob) bool { return job.artifact.Format == "simg" }

func (p *puller) fetching(job *pullJob, begun int64) fetch.Options {
	options := fetch.Options{}
	if p.options.Progress != nil {
		options.Progress = func(bytes int64) {
			p.options.Progress(PullProgress{Title: cmp.Or(job.artifact.Title, p.fileName(&job.artifact)), Bytes: bytes, Size: job.descriptor.Size, Begun: begun})
		}
	}
	return options
}

// content fetches a file and writes what is in it. Of a file that is written as it is
// stored, the bytes are counted that were.
func (p *puller) content(ctx context.Context, job *pullJob, options fetch.Options, to io.Writer) (int64, error) {
	stated := job.artifact.DecompressedSize
	if !p.unpacks(job) {
		if stated != 0 && stated != job.descriptor.Size && job.artifact.Compression == "" {
			return 0, fmt.Errorf("%w: a file of %d bytes, where the entry says %d", entry.ErrMalformed, job.descriptor.Size, stated)
		}
		return job.descriptor.Size, fetch.Blob(ctx, job.repository, job.descriptor, to, options)
	}
	return p.piped(ctx, job, options, func(from io.Reader) (int64, error) { return p.convert(job, to, from) })
}

// piped fetches a file and has what is stored read to its end.
func (p *puller) piped(ctx context.Context, job *pullJob, options fetch.Options, read func(io.Reader) (int64, error)) (int64, error) {
	r, w := io.Pipe()
	fetched := make(chan error, 1)
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		err := fetch.Blob(within, job.repository, job.descriptor, w, options)
		w.CloseWithError(err) // nil is the end: only then the bytes are right
		fetched <- err
	}()
	written, err := read(r)
	r.CloseWithError(cmp.Or(err, io.ErrClosedPipe)) // nobody reads on
	if err != nil {
		cancel() // nor waits for more
	}
	return written, cmp.Or(err, <-fetched)
}

// convert writes what a stored file holds, and reads it to its end.
func (p *puller) convert(job *pullJob, to io.Writer, from io.Reader) (int64, error) {
	content, end, err := p.decompress(job, from)
	if err != nil {
		return 0, err
	}
	defer end()
	most := cmp.Or(p.options.MaxSize, maxPulled)
	if isTar(job) {
		content = unpack.Only(content, most)
	}
	if isSparse(job) {
		content = &sized{from: unpack.Expand(content), most: most}
	}
	return io.CopyBuffer(plain{to}, content, make([]byte, 256<<10))
}

// decompress undoes the compression of a stored file. Whoever has read it calls end.
func (p *puller) decompress(job *pullJob, from io.Reader) (content io.Reader, end func(), err error) {
	unpacked, err := unpack.New(job.artifact.Compression, from)
	if err != nil {
		return nil, nil, err
	}
	stated := job.artifact.DecompressedSize
	most := cmp.Or(stated, p.options.MaxSize, maxPulled)
	return &sized{from: unpacked, most: most, want: stated}, func() { _ = unpacked.Close() }, nil
}

// sized reads no more than a bound, and ends only where the size is right.
type sized struct {
	from io.Reader
	most int64
	want int64 // 0 is any
	size int64
}

func (s *sized) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.size += int64(n)
	switch {
	case s.size > s.most:
		return 0, fmt.Errorf("%w: more than the %d bytes that it may have", entry.ErrMalformed, s.most)
	case errors.Is(err, io.EOF) && s.want != 0 && s.size != s.want:
		return 0, fmt.Errorf("%w: %d bytes, where the entry says %d", entry.ErrMalformed, s.size, s.want)
	}
	return n, err
}

// plain hides all but Write, so that a copy uses its own buffer.
type plain struct{ io.Writer }

// moved is what the tag names now that an entry was published by, where that is
// something else. What cannot be found out is no news.
func (p *puller) moved(ctx context.Context) digest.Digest {
	ref, err := registry.ParseReference(p.item.RegistryURL)
	if err != nil || ref.Tag == "" || p.elsewhere() {
		return ""
	}
	repository, err := p.open(ref)
	if err != nil {
		return ""
	}
	ref.Digest = ""
	found, err := repository.Resolve(ctx, ref.Target())
	if err != nil || found.Digest == p.item.Digest {
		return ""
	}
	return found.Digest
}
