package upgrade

import "strings"

// ConfArg is a setting in the server's arguments.
type ConfArg struct {
	Name, Value string
	Text        string // as it was typed: -c name=value
}

// argLetters are the options of postgres that take a value
// (getopt's string in src/backend/postmaster/postmaster.c).
const argLetters = "BCcDdfhkNprStW-"

// shortArgs are the letters that set something. -d, -e, -f and -t set several
// or have a language of their own; they mean the same in all majors.
var shortArgs = map[byte]struct{ name, value string }{
	'B': {"shared_buffers", ""},
	'D': {"data_directory", ""},
	'F': {"fsync", "off"},
	'h': {"listen_addresses", ""},
	'i': {"listen_addresses", "*"},
	'k': {"unix_socket_directories", ""},
	'l': {"ssl", "on"},
	'N': {"max_connections", ""},
	'O': {"allow_system_table_mods", "on"},
	'P': {"ignore_system_indexes", "on"},
	'p': {"port", ""},
	'S': {"work_mem", ""},
	's': {"log_statement_stats", "on"},
	'W': {"post_auth_delay", ""},
}

// ParseServerArgs reads the settings in the arguments of postgres, as
// PostmasterMain does with getopt(3). What it does not understand is left out.
func ParseServerArgs(args []string) []ConfArg {
	var res []ConfArg
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			continue
		}
		for at := 1; at < len(arg); at++ {
			letter, text := arg[at], arg
			if strings.IndexByte(argLetters, letter) < 0 {
				res = appendArg(res, letter, "", text)
				continue
			}
			value := arg[at+1:]
			if value == "" && len(args) > 0 {
				value = args[0]
				text, args = text+" "+value, args[1:]
			}
			res = appendArg(res, letter, value, text)
			break
		}
	}
	return res
}

func appendArg(res []ConfArg, letter byte, value, text string) []ConfArg {
	if letter == 'c' || letter == '-' {
		// ParseLongOption in guc.c: dashes in names mean underscores.
		name, value, found := strings.Cut(value, "=")
		if !found || name == "" {
			return res
		}
		return append(res, ConfArg{strings.ReplaceAll(name, "-", "_"), value, text})
	}
	short, ok := shortArgs[letter]
	if !ok {
		return res
	}
	if short.value != "" {
		value = short.value
	}
	return append(res, ConfArg{short.name, value, text})
}
