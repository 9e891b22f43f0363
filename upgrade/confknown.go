package upgrade

// confChange is a setting that a major no longer has. The source is the
// release notes of that major, "Migration" and "Server Configuration".
type confChange struct {
	Since   int    // the first major without it
	NewName string // the same setting, under another name
	Why     string // what became of it
}

// confChanges know more about a setting than the server, which only says that
// it is unrecognized. The server decides; these are words.
var confChanges = map[string]confChange{
	"wal_keep_segments": {
		13, "", "wal_keep_size has taken its place, in megabytes instead of segments: set wal_keep_size to the number of segments times the segment size",
	},
	"operator_precedence_warning":       {14, "", "it warned about expressions that changed their meaning in 9.5"},
	"vacuum_cleanup_index_scale_factor": {14, "", "nothing takes its place: index cleanup decides by itself"},
	"stats_temp_directory":              {15, "", "statistics are in shared memory now, there are no temporary files"},
	"force_parallel_mode":               {16, "debug_parallel_query", "it is called debug_parallel_query"},
	"promote_trigger_file":              {16, "", "promote with pg_ctl promote or pg_promote()"},
	"vacuum_defer_cleanup_age":          {16, "", "hot_standby_feedback or a replication slot on the standby does what it was for"},
	"logical_decoding_mode":             {16, "debug_logical_replication_streaming", "it is called debug_logical_replication_streaming"},
	"logical_replication_mode":          {17, "debug_logical_replication_streaming", "it is called debug_logical_replication_streaming"},
	"db_user_namespace":                 {17, "", "user names of one database only are no longer possible"},
	"old_snapshot_threshold":            {17, "", "nothing takes its place; idle_in_transaction_session_timeout or transaction_timeout end what holds old snapshots"},
	"trace_recovery_messages":           {17, "", "it had no use any more"},
	"extension_destdir":                 {18, "", "it was an addition of Debian's: extension_control_path and dynamic_library_path take its place"},
	"ssl_ecdh_curve":                    {18, "ssl_groups", "it is called ssl_groups"},
	"default_with_oids":                 {12, "", "tables cannot have OIDs any more"},
	"replacement_sort_tuples":           {11, "", "sorting does without it"},
	"checkpoint_segments":               {10, "", "max_wal_size has taken its place"},
	"sql_inheritance":                   {10, "", "queries always include the children"},
	"min_parallel_relation_size":        {10, "min_parallel_table_scan_size", "it is called min_parallel_table_scan_size"},
}
