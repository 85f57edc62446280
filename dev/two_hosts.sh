#!/bin/sh
# Runs a command as ranks on two machines that are none: namespaces with a network and a name of their own, joined by a
# cable (veth), so that mpirun starts ranks on the other one and bytes go by TCP. Needs root, iproute2 and util-linux.
#
#   dev/two_hosts.sh RANKS_ON_EACH COMMAND...
#
# Ends with the command's code; with 77 where the system does not let us make such machines.
set -u
each=$1
shift
for tool in ip unshare nsenter mpirun; do command -v $tool >/dev/null || { echo "no $tool" >&2; exit 77; }; done
folder=$(mktemp -d) hosts=""
trap 'kill $hosts 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

for host in gpt-a gpt-b; do  # each lives as long as its process
    unshare --net --uts sh -c "hostname $host && touch '$folder/$host' && exec sleep 3600" 2>"$folder/why" &
    hosts="$hosts $!"
done
set -- "$each" $hosts "$@"
each=$1 a=$2 b=$3
shift 3
for wait in 1 2 3 4 5 6 7 8 9 10; do [ -e "$folder/gpt-a" ] && [ -e "$folder/gpt-b" ] && break; sleep 0.1; done
cable="gpt-a-$a" other="gpt-b-$b"
if ! { ip link add "$cable" type veth peer name "$other" && ip link set "$cable" netns "$a" && ip link set "$other" netns "$b"; } \
       2>>"$folder/why"; then
    echo "no namespaces: $(cat "$folder/why")" >&2
    exit 77
fi
plug() { nsenter -t "$1" -n -u sh -c "ip link set lo up; ip addr add $2/24 dev $3; ip link set $3 up"; }
plug "$a" 10.77.0.1 "$cable"
plug "$b" 10.77.0.2 "$other"

# In place of ssh: a host and a command line for its shell.
printf '#!/bin/sh\nshift\nexec nsenter -t %s -n -u sh -c "$*"\n' "$b" >"$folder/start"
chmod +x "$folder/start"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
nsenter -t "$a" -n -u mpirun --mca plm_rsh_agent "$folder/start" --mca hwloc_base_binding_policy none \
    --host "gpt-a:$each,10.77.0.2:$each" -n $((2 * each)) "$@"
