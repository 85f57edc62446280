# For the scripts beside this one: fetch URL FILE downloads once, completely or not at all, and goes on where it stopped.
fetch() {
    [ ! -e "$2" ] || return 0
    mkdir -p "$(dirname "$2")"
    echo "fetching $2" >&2
    case $1 in
    file://*) cp "${1#file://}" "$2.part" ;;
    *)
        if command -v curl >/dev/null; then curl -fL --retry 3 -C - --progress-bar -o "$2.part" "$1"
        elif command -v wget >/dev/null; then wget -c -O "$2.part" "$1"
        else echo "error: curl: is missing; apt-get install curl" >&2; exit 1; fi ;;
    esac
    mv "$2.part" "$2"
}

# A GPU trains in bf16.
dtype() { if nvidia-smi -L >/dev/null 2>&1; then echo " --dtype bf16"; fi; }
