package pg

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"slices"
)

// OptionsInUse are the names of the options that columns and tables have, in each
// database that lets us in. A release may set one for itself, which an older one,
// of a newer major too, does not know.
func OptionsInUse(ctx context.Context, login func(db string) Login) (names []string, err error) {
	databases, err := login("").Databases(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range databases {
		err := login(name).with(ctx, "look for options", func(db *sql.DB) error {
			return each(ctx, db, `
				select distinct split_part(o, '=', 1) from (
					select unnest(attoptions) from pg_attribute where attoptions is not null
					union all
					select unnest(reloptions) from pg_class where reloptions is not null and relkind in ('r', 'm')
				) as _ (o)`, func(scan func(...any) error) error {
				var option string
				err := scan(&option)
				if !slices.Contains(names, option) {
					names = append(names, option)
				}
				return err
			})
		})
		if err != nil && !Denied(err) && !NotOpen(err) {
			return nil, err
		}
	}
	slices.Sort(names)
	return names, nil
}

// Lacks are those of the options that this major's server does not know: their
// names are nowhere in its program.
func (b Binaries) Lacks(options []string) (unknown []string, err error) {
	if len(options) == 0 {
		return nil, nil
	}
	f, err := os.Open(b.Path("postgres"))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	left := slices.Clone(options)
	const overlap = 256 // longer than any name
	buf, kept := make([]byte, 1<<20), 0
	for len(left) > 0 {
		n, err := io.ReadFull(f, buf[kept:])
		text := buf[:kept+n]
		left = slices.DeleteFunc(left, func(name string) bool { return bytes.Contains(text, []byte("\x00"+name+"\x00")) })
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return left, nil
		}
		if err != nil {
			return nil, err
		}
		kept = copy(buf, text[len(text)-overlap:])
	}
	return nil, nil
}
