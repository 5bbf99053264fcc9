package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/internal/place"
	"github.com/oci-catalog/caib/pkg/internal/unpack"
)

// ErrSeveral: a tar holds several files, and there is room for one. It is an
// entry.ErrInvalid.
var ErrSeveral = unpack.ErrSeveral

// PulledMember is a file that was in a tar.
type PulledMember struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"` // that were written
}

// isTar reports whether a file is a tar. Its media type tells, and nothing else: a
// name is another's word.
func isTar(job *pullJob) bool { return unpack.IsTar(job.artifact.Type) }

// archive is the name of the tar that a file is without its compression: beside it
// are its stored bytes.
func archive(name string) string {
	const suffix = ".tar"
	if strings.HasSuffix(strings.ToLower(name), suffix) {
		return name
	}
	return name + suffix
}

// membersTarget is a directory for the files of a tar.
type membersTarget struct {
	*place.File // the stored bytes
	members     *place.Members
}

func (t *membersTarget) Restart() error {
	if err := t.members.Restart(); err != nil {
		return err
	}
	return t.File.Restart()
}

// writeMembers writes the files of a tar into a directory.
func (p *puller) writeMembers(ctx context.Context, job *pullJob, pulled *PulledFile) error {
	stored, err := place.Begin(job.path, job.descriptor.Digest.String(), job.descriptor.Size, true)
	if err != nil {
		return err
	}
	members, err := place.BeginMembers(job.dir, job.path, p.options.Force)
	if err != nil {
		stored.Leave(true)
		return err
	}
	var found []PulledMember
	err = job.untilRight(ctx, &membersTarget{stored, members}, func(options fetch.Options) (err error) {
		options.Progress = p.fetching(job, options.BegunSize).Progress
		pulled.Resumed = options.BegunSize
		pulled.Bytes, err = p.piped(ctx, job, options, func(from io.Reader) (written int64, err error) {
			found, written, err = p.extract(job, from, members)
			return written, err
		})
		return err
	})
	if err == nil {
		err = members.Commit()
	}
	members.Leave()
	if stored.Leave(err != nil && !isWrong(err)) {
		pulled.Part = job.path + place.Suffix
	}
	if err == nil {
		pulled.File, pulled.Members = job.dir, found
	}
	for _, member := range found {
		p.named[strings.ToLower(member.File)] = true
	}
	return job.fromPlace(err)
}

// extract writes what a stored tar holds, and reads it to its end.
func (p *puller) extract(job *pullJob, from io.Reader, members *place.Members) (found []PulledMember, written int64, err error) {
	content, end, err := p.decompress(job, from)
	if err != nil {
		return nil, 0, err
	}
	defer end()
	most := cmp.Or(p.options.MaxSize, maxPulled)
	files := unpack.NewTar(content, most, unsafeName)
	for {
		name, err := files.Next()
		if errors.Is(err, io.EOF) {
			return found, written, nil
		}
		if err != nil {
			return found, written, err
		}
		var file io.Reader = files
		if short := unpack.Title(name, "simg"); isSparse(job) && short != name {
			name, file = short, unpack.Expand(files)
		}
		path := filepath.Join(job.dir, filepath.FromSlash(name))
		if p.named[strings.ToLower(path)] {
			return found, written, fmt.Errorf("%w: two files of the entry are called %q", entry.ErrMalformed, name)
		}
		n, err := members.Write(name, &sized{from: file, most: most - written})
		written += n
		if err != nil {
			return found, written, fmt.Errorf("%q in the tar: %w", name, err)
		}
		found = append(found, PulledMember{File: path, Bytes: n})
	}
}
