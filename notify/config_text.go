package notify

// confText is the keepalived.conf. What every line is for stands beside it,
// for whoever looks after keepalived and has never seen pgbaton.
const confText = `# keepalived.conf of node {{.Node}}, written by "pgbaton notify config"
# keepalived runs {{if eq .Placement "container"}}in the container, as a child of the supervisor: this file is rewritten by it
{{- else if eq .Placement "host"}}on the host; start it after {{.Dir}} is there ("keepalived -t" and the log say what it dropped)
{{- else}}in a container of its own, with the network of the host, NET_ADMIN and NET_RAW, and {{.Dir}} mounted
{{- end}}
#
# The same on every node but router_id, interface and the unicast addresses.
# A node that is released gives the address away within milliseconds; one that
# is silent is noticed after {{.Detection}}.
{{- if not .Bare}}

global_defs {
  router_id {{.Node}}
  vrrp_version 3                      # advertisements in hundredths of a second
  script_user root
  enable_script_security              # runs only what root alone can change
{{- if not .Scripts}}
  vrrp_notify_fifo {{.File "vrrp.fifo"}}
{{- end}}
{{- if ne .Placement "host"}}
  max_auto_priority -1                # no real time scheduling: it needs SYS_NICE
{{- end}}
  vrrp_garp_master_delay 1            # a second round of gratuitous ARP, 1 s later
  vrrp_garp_master_refresh 60         # and one each minute
  vrrp_garp_lower_prio_repeat 3       # after two were MASTER
  vrrp_higher_prio_send_advert true   # tells the lower one at once
  vrrp_check_unicast_src              # hears its peers and nobody else
}
{{- end}}

# The supervisor writes these. 0, empty, or no file at all is FAULT: the node
# has no virtual address. keepalived cannot watch an overlay file system.
track_file {{.Name}}_eligible {
  file {{.File "eligible"}}
  weight 0 reverse
}

track_file {{.Name}}_pref {
  file {{.File "pref"}}
  weight 1                            # added to the priority
}
{{- if .Scripts}}

# A container that was killed leaves "eligible" as it was.
vrrp_script {{.Name}}_alive {
  script "{{.Program}} notify check --socket {{.Socket}} --vip {{.VIP.Addr}}"
  interval 1
  timeout 1
  fall 2
  rise 1
  init_fail
}
{{- end}}

vrrp_instance {{.Name}} {
  state BACKUP                        # everywhere: MASTER here would undo nopreempt
  nopreempt                           # no way back by itself
  interface {{.Interface}}
  virtual_router_id {{.VRID}}
  priority {{.Priority}}
  advert_int {{.Interval}}
  down_timer_adverts {{.DownAdverts}}
  unicast_src_ip {{.Source}}
  unicast_peer {
{{- if not .Peers}}
    # no peer is known yet; an address that nobody has keeps keepalived from multicast
{{- end}}
{{- range .UnicastPeers}}
    {{.}}
{{- end}}
  }
  unicast_fault_no_peer               # and so does this
  track_file {
    {{.Name}}_eligible
    {{.Name}}_pref
  }
{{- if .Scripts}}
  track_script {
    {{.Name}}_alive
  }
  notify "{{.Program}} notify --socket {{.Socket}} --instance {{.Name}} --vip {{.VIP.Addr}}"
{{- end}}
  virtual_ipaddress {
    {{.VIP}} dev {{.Interface}}
  }
}
`
