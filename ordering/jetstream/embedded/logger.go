package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// logger is nats-server's logger: to slog, and the first fatal error, on which
// nats-server expects its process to end, to fatal.
type logger struct {
	to    *slog.Logger
	once  sync.Once
	err   error
	fatal chan struct{} // closed once err is set
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to: to, fatal: make(chan struct{})}
}

func (l *logger) log(level slog.Level, format string, v []any) {
	if ctx := context.Background(); l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, fmt.Sprintf(format, v...))
	}
}

// Noticef is at debug level: what nats-server notices of itself is not
// news to those who run a node.
func (l *logger) Noticef(format string, v ...any) { l.log(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.log(slog.LevelWarn, format, v) }
func (l *logger) Errorf(format string, v ...any)  { l.log(slog.LevelError, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.log(slog.LevelDebug-1, format, v) }
func (l *logger) Tracef(format string, v ...any)  { l.log(slog.LevelDebug-2, format, v) }

func (l *logger) Fatalf(format string, v ...any) {
	l.log(slog.LevelError, format, v)
	l.once.Do(func() {
		l.err = fmt.Errorf(format, v...)
		close(l.fatal)
	})
}
