package server

import (
	"context"
	"log/slog"
)

// auditRecord is something that was done, or refused, on behalf of somebody.
type auditRecord struct {
	action  string // publish, add, remove, verify or phase
	by      string // the name of a token; "unknown" without one, "anyone" where none is needed, and "probe"
	name    string // of the entry; as much of it as is known
	digest  string // of the image, or of the revision that was removed
	outcome string // "done" if it has no word of its own
	moved   []string
}

// audit writes a line about a auditRecord: its outcome, or the error. Entries that it
// ended under other names have lines of their own.
func (s *Server) audit(ctx context.Context, id string, d auditRecord, err error) {
	line := func(level slog.Level, action, name, digest, outcome string) {
		s.log.LogAttrs(ctx, level, "audit", slog.String("id", id), slog.String("action", action), slog.String("by", d.by),
			slog.String("name", name), slog.String("digest", digest), slog.String("outcome", outcome))
	}
	if err != nil {
		line(slog.LevelWarn, d.action, d.name, d.digest, err.Error())
		return
	}
	if d.outcome == "" {
		d.outcome = "done"
	}
	line(slog.LevelInfo, d.action, d.name, d.digest, d.outcome)
	for _, name := range d.moved {
		outcome := "moved to " + d.name
		if d.outcome != "published" {
			outcome = d.outcome
		}
		line(slog.LevelInfo, "remove", name, d.digest, outcome)
	}
}

// auditPhases writes a line about each phase that probes found to be another one.
func (s *Server) auditPhases(ctx context.Context, phases []event) {
	for _, e := range phases {
		outcome := string(e.Before) + " to " + string(e.Phase)
		if e.Reason != "" {
			outcome += ": " + e.Reason
		}
		s.audit(ctx, "", auditRecord{action: "phase", by: "probe", name: e.Name, digest: e.Digest, outcome: outcome}, nil)
	}
}
