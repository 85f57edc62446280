thread_local __attribute__((abi_tag("shared"), aligned(1024))) unsigned char shared_bytes[232448];
