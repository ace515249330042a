/*
 * tiny - a program without a C library: writes three bytes to descriptor 1
 * and exits.
 *
 * exec and the C library's start are most of what a spawn costs; with this
 * one the rest shows. Linked with -static -nostdlib.
 */
#if defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	push $0x0a6b6f\n" /* "ok\n" */
	"	mov $1, %eax\n" /* write(1, "ok\n", 3) */
	"	mov $1, %edi\n"
	"	mov %rsp, %rsi\n"
	"	mov $3, %edx\n"
	"	syscall\n"
	"	mov $60, %eax\n" /* exit(0) */
	"	xor %edi, %edi\n"
	"	syscall\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	mov x0, #1\n"
	"	adr x1, 1f\n"
	"	mov x2, #3\n"
	"	mov x8, #64\n" /* write */
	"	svc #0\n"
	"	mov x0, #0\n"
	"	mov x8, #93\n" /* exit */
	"	svc #0\n"
	"1:	.ascii \"ok\\n\"\n");
#else
#error "tiny: write the few lines for this processor"
#endif
