#!/usr/bin/env bash
# A real Slurm of one node on this machine, to test with: slurmctld, slurmd and munged, listening on 127.0.0.1 only.
#
#   scripts/dev/slurm_node.sh           # install Debian's packages where they are missing, and start; twice does no harm
#   scripts/dev/slurm_node.sh stop      # end all three, and remove what they left in SLURM_NODE_DIR
#   eval "$(scripts/dev/slurm_node.sh env)"    # SLURM_CONF, for sbatch, squeue, scontrol and pytest -m slurm
#
# Needs root, and neither systemd nor control groups: it works in a container. Jobs may be requeued; there is no
# accounting, so that sacct answers nothing, as on many small clusters.
set -euo pipefail

place="${SLURM_NODE_DIR:-/var/tmp/slurm_node}"
cpus="${SLURM_NODE_CPUS:-4}"       # cores that Slurm believes in; more than there are is allowed here
export SLURM_CONF="$place/slurm.conf"

pid_of() { # of a daemon that runs by its file, else nothing
  local pid
  pid="$(cat "$place/$1.pid" 2>/dev/null)" && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && echo "$pid" || true
}

answers() { scontrol ping 2>/dev/null | grep -q "is UP"; }

stop() {
  if answers; then scancel --user root >/dev/null 2>&1 || true; sleep 1; fi
  for daemon in slurmd slurmctld munged; do
    pid="$(pid_of "$daemon")"
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do [ -n "$(pid_of "$daemon")" ] || break; sleep 0.1; done
    pid="$(pid_of "$daemon")"
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
  done
  rm -rf "$place"
  echo "stopped"
}

install_packages() {
  if ! command -v slurmctld slurmd munged sbatch >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "needs root, to install slurm-wlm and munge" >&2; exit 2; }
    # Debian would start the daemons with a configuration of its own, where there is systemd
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge >&2
  fi
}

write_config() {
  mkdir -p "$place/state" "$place/spool"
  local host total
  host="$(hostname -s)"
  total="$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"
  cat > "$SLURM_CONF" <<CONF
ClusterName=one_node
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmdParameters=config_overrides
AuthType=auth/munge
AuthInfo=socket=$place/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,sched_min_interval=0,requeue_delay=1
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=300
KillWait=20
InactiveLimit=0
Waittime=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$total State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1 OverSubscribe=NO
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10 OverSubscribe=NO
CONF
}

start() {
  install_packages
  [ "$(id -u)" = 0 ] || { echo "needs root, as which Slurm's own daemons run here" >&2; exit 2; }
  mkdir -p "$place"
  chmod 755 "$place"
  if [ -z "$(pid_of munged)" ]; then
    [ -f "$place/munge.key" ] || (umask 077; head -c 1024 /dev/urandom > "$place/munge.key")
    munged --force --key-file="$place/munge.key" --socket="$place/munge.socket" --pid-file="$place/munged.pid" \
      --log-file="$place/munged.log" --seed-file="$place/munged.seed"
  fi
  if [ -z "$(pid_of slurmctld)" ]; then write_config; slurmctld -f "$SLURM_CONF"; fi
  for _ in $(seq 100); do answers && break; sleep 0.1; done
  if [ -z "$(pid_of slurmd)" ]; then slurmd -f "$SLURM_CONF" -N "$(hostname -s)"; fi
  for _ in $(seq 100); do sinfo -h -o %T 2>/dev/null | grep -qE "^(idle|mixed|allocated)$" && break; sleep 0.1; done
  sinfo
}

case "${1:-start}" in
  start) start ;;
  stop) stop ;;
  env) echo "export SLURM_CONF=$SLURM_CONF" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
